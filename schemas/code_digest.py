"""A digest of our own source, by which a result tells what code made it."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGES = ("jobs", "ray_tasks", "schemas")
"""Whose source decides what is in a table; the DAGs only say in which order."""


@cache
def code_digest() -> str:
    """SHA-256 over the files of the packages that are there, by name and content."""
    home, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((home / package).rglob("*.py")):
            digest.update(f"{path.relative_to(home)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
