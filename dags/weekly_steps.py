"""What each task of the weekly tuning reads and publishes, how long it may take, and what to do when it fails."""

from dags.steps import STEPS, Step

WEEKLY_STEPS = {
    "freeze_config": STEPS["freeze_config"],
    "tune_generator": Step(
        publishes=("tuning_trials",),
        reads=("item_documents", "item_reviews", "vocabularies", "splits", "item_profiles", "user_profiles"),
        minutes=240,
        does="Ray. Trains a LoRA adapter of the default generator on the training period of the last published night, "
        "judges it against prompting and the template on held-out items and users, and registers it in MLflow: as "
        "`champion`, which the next nights use, only if it is better, else as `challenger`.",
        on_failure="Nights go on with the champion that they have. `LakeError` says that no night has been published; "
        "`NothingToDo` that the backend has no weights here. Memory errors: lower `tuning.batch_tokens`. Too slow: "
        "lower `tuning.max_minutes` or `tuning.judged`.",
    ),
}

WEEKLY_DOC = """
### Weekly tuning of the generator

Instruction-tunes the profile generator with LoRA on pairs from the last published night: items and their labels,
histories and the next item, evidence and the profiles that passed all checks. It takes the same configuration file
and Params as a night, publishes `tuning_trials`, and changes no night: the next one picks up a new champion.

- **Run date.** The newest night up to it is read, and of that the training period alone.
- **Rerun.** Any run may be repeated: the same night and seed give the same pairs; MLflow gets one more run and version.
- **Undo.** Move or delete the alias `champion` in MLflow's model registry, or set `generator.adapter: null`.
"""
