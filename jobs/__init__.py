"""Spark jobs: pure `DataFrame -> DataFrame` functions, each with a thin `main`."""
