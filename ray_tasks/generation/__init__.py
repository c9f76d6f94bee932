"""Generators: what completes a prompt, and the backends that do it."""
