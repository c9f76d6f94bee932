"""What each task of the night reads and publishes, how long it may take, and what to do when it fails."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schemas.tables import OUTSIDE, TABLES

HOME = Path(os.environ.get("NIGHTREC_HOME") or Path(__file__).resolve().parents[1])
"""The folder that holds jobs/, ray_tasks/ and infra/: a checkout, or where the wheel is installed."""


@dataclass(frozen=True)
class Step:
    """One task: the tables it reads and publishes, its time limit in minutes, and advice for 6 a.m."""

    publishes: tuple[str, ...]
    reads: tuple[str, ...]
    minutes: int
    does: str
    on_failure: str

    @property
    def limit(self) -> timedelta:
        """Time after which the task is killed."""
        return timedelta(minutes=self.minutes)

    @property
    def doc_md(self) -> str:
        """The text that the Airflow UI shows beside the task."""
        published = "\n".join(f"- `{name}`: {TABLES[name].description}" for name in self.publishes)
        reads = ", ".join(f"`{name}`" for name in self.reads) or "no table"
        return (
            f"{self.does}\n\n**Reads** {reads}.\n\n**Publishes**\n{published or '- no table'}\n\n"
            f"**When it fails:** {self.on_failure}"
        )


STEPS = {
    "freeze_config": Step(
        publishes=(),
        reads=(),
        minutes=5,
        does="Validates the YAML file and the Params once, and writes the frozen configuration that all tasks read.",
        on_failure="The log lists every problem of the configuration at once. Mend the file (or the Params) and "
        "trigger again. `cannot write` means that the lake's folder or bucket refuses this user.",
    ),
    "ingest": Step(
        publishes=("interactions", "items", "users", "feedback", "requests", "quarantine"),
        reads=(),
        minutes=120,
        does="Spark. Reads the sources up to the run date, types and deduplicates them, and counts every dropped row.",
        on_failure="A source error names the file and what was expected there (path, delimiter, columns). "
        "`NothingToDo` means that no row is before the run date: check `run_date`.",
    ),
    "features": Step(
        publishes=("user_histories", "splits", "item_factors", "item_documents", "item_statistics"),
        reads=("interactions", "items", "feedback"),
        minutes=240,
        does="Spark. Orders what each user did before the run date, splits the interactions by time, cleans and hashes "
        "the text of each item, and counts its interactions and their trend. Where more items were taken than "
        "`candidates.max_core_items`, ALS fits `item_factors`; otherwise that table is empty.",
        on_failure="Memory errors: raise `NIGHTREC_DRIVER_MEMORY` or `features.shuffle_partitions`, or lower "
        "`features.document_characters`. If the log ends in ALS, lower `candidates.ials_dimensions`, or raise "
        "`candidates.max_core_items` so that none is fitted. `NothingToDo` means that no user is left: see "
        "`features.min_user_interactions`.",
    ),
    "vocabularies": Step(
        publishes=("vocabularies", "item_reviews"),
        reads=("item_documents", "interactions", "splits"),
        minutes=60,
        does="The labels that profiles may use, induced from the catalogue and edited by `vocabulary.path`; "
        "and what reviews of the training period praise and criticise.",
        on_failure="A `ConfigError` lists every problem of the vocabulary file at once: mend it and clear this task.",
    ),
    "item_profiles": Step(
        publishes=("item_profiles", "item_profile_rejects"),
        reads=("item_documents", "item_statistics", "item_reviews", "vocabularies"),
        minutes=360,
        does="Ray. The language model writes the most valuable missing profiles within the night's budget; "
        "the others come from the template. A profile whose evidence did not change is never written again.",
        on_failure="`ModelError` names the file that is absent or corrupted. A budget of 0 skips the model. "
        "What was generated before the failure is only paid again if it had not been published.",
    ),
    "user_profiles": Step(
        publishes=("user_profiles", "user_profile_rejects", "generation_costs"),
        reads=(
            "user_histories",
            "item_documents",
            "item_profiles",
            "item_statistics",
            "vocabularies",
            "interactions",
            "requests",
            "feedback",
        ),
        minutes=360,
        does="Ray. As for items, from each user's recent history, with the share of the budget that items do not get.",
        on_failure="As for `item_profiles`.",
    ),
    "embeddings": Step(
        publishes=("item_embeddings", "user_embeddings"),
        reads=("item_profiles", "user_profiles", "item_documents", "users", "requests"),
        minutes=180,
        does="Ray. Encodes the texts that changed into unit vectors.",
        on_failure="`ModelError` names the encoder's folder. Memory errors: lower `encoder.batch_size` or `actors`.",
    ),
    "candidates": Step(
        publishes=("candidates",),
        reads=(
            "user_histories",
            "users",
            "requests",
            "splits",
            "item_factors",
            "items",
            "item_documents",
            "item_embeddings",
            "user_embeddings",
        ),
        minutes=240,
        does="Ray. The sources of `candidates.sources` propose items per user, each with its score; `ials` joins them "
        "where there are `item_factors`.",
        on_failure="Memory errors: EASE needs items² x 8 bytes; lower `candidates.max_core_items`, "
        "`candidates.block_size` or `candidates.per_source`.",
    ),
    "ranking": Step(
        publishes=("recommendations", "offline_rankings"),
        reads=(
            "candidates",
            "splits",
            "user_histories",
            "users",
            "requests",
            "item_factors",
            "items",
            "item_embeddings",
            "item_documents",
            "vocabularies",
            "feedback",
        ),
        minutes=240,
        does="Ray. A ranker trained on the validation window orders the candidates; the best top_k are published, "
        "without what users hid. With `ranking.rerank` a language model re-orders some lists.",
        on_failure="Memory errors: lower `ranking.training_users` or `candidates.block_size`. Too little "
        "data to learn from is no failure: reciprocal-rank fusion serves, and the task's record says so.",
    ),
    "explanations": Step(
        publishes=("explanations", "taste_summaries", "explanation_rejects"),
        reads=(
            "recommendations",
            "user_profiles",
            "splits",
            "items",
            "user_histories",
            "users",
            "requests",
            "item_embeddings",
            "item_documents",
            "item_profiles",
            "vocabularies",
        ),
        minutes=240,
        does="Ray. Says for each recommendation which items of the history caused it and what else speaks for it, and "
        "tells each user's taste in a paragraph. The language model phrases the first places within a budget of its "
        "own; templates say the same of the others.",
        on_failure="`ModelError` names the file that is absent or corrupted; `explanations.nightly_token_budget: 0` "
        "does without the model. The audit names the expectation that failed; the staged files are kept for a look.",
    ),
    "request_recommendations": Step(
        publishes=("parsed_requests", "request_recommendations"),
        reads=(
            "requests",
            "vocabularies",
            "item_documents",
            "item_profiles",
            "item_statistics",
            "items",
            "item_embeddings",
            "user_embeddings",
            "user_histories",
            "recommendations",
            "feedback",
        ),
        minutes=120,
        does="Ray. Reads what users asked for in their own words, and answers with items that meet it; a request that "
        "is not understood gets the user's own list, and the reason is published.",
        on_failure="`ModelError` names the encoder's or the generator's folder. Memory errors: lower "
        "`requests.per_user` or `requests.days`.",
    ),
    "evaluation": Step(
        publishes=("evaluations",),
        reads=("offline_rankings", "splits", "items", "feedback"),
        minutes=60,
        does="Spark. NDCG, recall and coverage of the ranker and the baselines on the test window; and from clicks on "
        "lists whose order was drawn, what the ranker's and the challenger's orders earn.",
        on_failure="Nothing is published to consumers yet: mend it, clear this task, and the night goes on.",
    ),
    "experiment_readouts": Step(
        publishes=("experiment_readouts",),
        reads=("feedback",),
        minutes=60,
        does="Spark. What the arms of every experiment that has begun did to each metric, and a sentence of verdict.",
        on_failure="`ExperimentError` says what of an experiment was changed while it ran: start it anew, with another "
        "name. Nothing is published to consumers yet: mend it, clear this task, and the night goes on.",
    ),
    "publish_night": Step(
        publishes=("runs",),
        reads=tuple(name for name in TABLES if name not in ("runs", *OUTSIDE)),
        minutes=15,
        does="Appends the night's row to the manifest. Only now does the night exist for consumers.",
        on_failure="The error names the tables that are missing and the tasks that failed: clear those. "
        "`PublishConflict` means that another run published this night meanwhile: the retry goes on top of it. "
        "To go back: `schemas.manifest.go_back(lake, run_date, sequence)`.",
    ),
    "report": Step(
        publishes=(),
        reads=(
            "items",
            "user_histories",
            "item_statistics",
            "vocabularies",
            "item_profiles",
            "item_profile_rejects",
            "user_profiles",
            "user_profile_rejects",
            "generation_costs",
            "candidates",
            "recommendations",
            "explanations",
            "taste_summaries",
            "requests",
            "parsed_requests",
            "request_recommendations",
            "evaluations",
            "experiment_readouts",
        ),
        minutes=30,
        does="Writes the night's HTML report and summary below `_runs/`, and logs the night to MLflow.",
        on_failure="The night is published all the same. Check that the MLflow server answers, then clear this task.",
    ),
}
