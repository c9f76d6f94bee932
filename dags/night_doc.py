"""What the Airflow UI says of the DAG of a night."""

DAG_DOC = """
### Nightly recommendations

Turns interactions and an item catalogue into profiles, candidates, ranked and explained recommendations, and
publishes them as Delta tables. One YAML file describes the data (Param `source`); the other Params override it.

- **Run date.** Only events before its midnight (UTC) are seen. It is the Param, else what the file says, else the
  end of the data interval; never the clock.
- **Rerun.** Any task may be cleared, and any night triggered again: equal content is not committed twice, profiles
  are not paid twice, and consumers keep the last complete night until `publish_night` has succeeded.
- **When it fails.** The failed task's log ends with the reason and the folder of the run's records; its
  documentation (task -> Details) says what to do.
"""
