"""Profiles of items and users: evidence, prompts, checks, and the rows that are published."""
