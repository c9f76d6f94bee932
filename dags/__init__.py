"""Airflow DAGs: they name jobs, they do not import them."""
