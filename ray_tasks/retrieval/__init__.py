"""Candidate sources: each proposes items for every user; their parameters are tuned on the validation window."""
