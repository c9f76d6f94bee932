"""A language model re-orders the top of the ranker's lists, and what that is worth."""
