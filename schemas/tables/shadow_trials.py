"""Table `shadow_trials`."""

from schemas.tables.trials import trials_table

SHADOW_TRIALS = trials_table("shadow", "A candidate prompt or model against the champion, on a sample of the night")
