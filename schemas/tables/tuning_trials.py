"""Table `tuning_trials`."""

from schemas.tables.trials import trials_table

TUNING_TRIALS = trials_table(
    "tuning", "The tuned generator against prompting and the template, on held-out rows, by the weekly tuning"
)
