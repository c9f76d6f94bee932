"""Statistics of experiments: from counts per user and day to a verdict. Pure functions, no engine."""
