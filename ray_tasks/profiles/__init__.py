"""Profiles of items and users: plan, prompts, answers, checks, and the rows that are published."""
