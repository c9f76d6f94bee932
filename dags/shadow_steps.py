"""What each task of a shadow run reads and publishes, how long it may take, and what to do when it fails."""

from dags.steps import STEPS, Step

SHADOW_STEPS = {
    "freeze_config": Step(
        publishes=(),
        reads=(),
        minutes=5,
        does="Validates the file and the Params once, and writes the frozen configuration (the champion) and the "
        "challenger beside it.",
        on_failure=STEPS["freeze_config"].on_failure,
    ),
    "shadow_run": Step(
        publishes=("shadow_trials",),
        reads=(
            "item_documents",
            "item_statistics",
            "item_reviews",
            "item_profiles",
            "vocabularies",
            "user_histories",
            "interactions",
            "requests",
            "feedback",
        ),
        minutes=120,
        does="Ray. Champion and challenger write about the same sample of the last published night; what they write "
        "is checked, measured, and tried at ranking. Table, plot and verdict go to MLflow and the run's folder.",
        on_failure="No night is touched by it. `ConfigError` names a prompt that has no file, or says that the "
        "challenger does what the champion does; `ModelError` names the folder that is not in order; `LakeError` says "
        "that no night has been published. Too slow: a smaller `sample`.",
    ),
}

SHADOW_DOC = """
### Shadow run of a prompt or model

Before a new prompt or model writes what is published, it writes beside the one in charge: both get the same sample of
the last published night. Compared are validity, grounding, length, labels, tokens, seconds, and NDCG@10 of ranking by
their texts; the verdict is `better`, `equal` or `worse`, by the one rule in `ray_tasks/trials/verdict.py`.

- **Challenger.** A prompt is a file of `ray_tasks/prompts`; a model is a folder that the workers see.
- **Run date.** The newest night up to it is read; by default up to the day of the trigger. Nothing of it is changed.
- **Promote.** Ticked, and the challenger not worse: MLflow's alias `champion` moves to its prompt. What nights use is
  what the configuration file says: the task's log ends with the lines to write there.
- **Result.** Table `shadow_trials`; `comparison.json` and `comparison.svg` in the run's folder; MLflow experiment
  `nightrec/<source>/shadow`.
"""
