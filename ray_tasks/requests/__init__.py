"""Requests in users' own words: what they ask for, which items meet it, and when no item can."""
