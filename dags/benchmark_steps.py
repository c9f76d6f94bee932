"""What each task of the ranking benchmark reads and publishes, its time limit, and what to do when it fails."""

from dags.steps import STEPS, Step

BENCHMARK_STEPS = {
    "freeze_config": Step(
        publishes=(),
        reads=(),
        minutes=5,
        does="Validates the file and the Params once, and writes the frozen configuration and what is to be measured.",
        on_failure=STEPS["freeze_config"].on_failure,
    ),
    "benchmark_ranking": Step(
        publishes=("benchmark_evaluations",),
        reads=("splits", "items", "item_documents", "item_embeddings"),
        minutes=720,
        does="Ray. Every source is tuned on validation, fitted again with it, and tested once, alone and in the "
        "ranker's blend, on the interactions and texts of the last published night. Table, plots and page go to MLflow "
        "and the run's folder.",
        on_failure="No night is touched by it. `LakeError` says that no night has been published; `NothingToDo` that "
        "too little was taken in the last tenths of the log. Too slow or too large: fewer `sources`, smaller grids "
        "(section `candidates` of the file); `users` shortens the test only.",
    ),
}

BENCHMARK_DOC = """
### Ranking benchmark on your own data

How much do Nightrec's lists gain over tuned collaborative filtering, and how much of that is due to text? The
comparison of `make bench-ranking`, on the last published night of a lake: nothing is read from the sources, and no text
is encoded again.

- **Protocol.** `p1`: all users are cut at one moment, the newest tenth of the interactions is the test, the tenth
  before it the validation. `p2`: each user's last item is the test. `p2` shows a model what other users did later.
- **Sources.** Those that compete, and that the ranker blends; grids are those of the file.
- **Run date.** The newest night up to it is read; by default up to the day of the trigger. Nothing of it is changed.
- **Result.** Table `benchmark_evaluations`; `benchmark-<protocol>.html` and `.json` in the run's folder; MLflow
  experiment `nightrec/<source>/benchmark`.
"""
