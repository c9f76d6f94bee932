"""The night's report: summary.json, report.html, and the MLflow run. `python -m jobs.report --config URI`."""
