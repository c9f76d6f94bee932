"""Every error that Nightrec raises on purpose: where, expected, found, and what to do."""

from collections.abc import Sequence


class NightrecError(Exception):
    """Base of all deliberate errors; the message is written for the engineer on call."""


class ConfigError(NightrecError):
    """The configuration is wrong; lists *all* problems at once."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{where}: {len(problems)} problem(s)\n{lines}")


class SourceError(NightrecError):
    """A source cannot be read at all: absent, empty, wrong delimiter, missing columns."""


class NothingToDo(NightrecError):
    """The night has no input: no interaction before `as_of`, or no user left after filtering."""


class SchemaMismatch(NightrecError):
    """Staged files do not fit the table; lists every discrepancy at once."""

    def __init__(self, table: str, problems: Sequence[str], where: str) -> None:
        self.table, self.problems = table, tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"table {table}: staged files in {where} do not fit schemas/tables/{table}.py\n{lines}")


class AuditFailed(NightrecError):
    """An expectation of the table's suite failed; nothing was committed."""

    def __init__(self, table: str, failures: Sequence[str], where: str) -> None:
        self.table, self.failures = table, tuple(failures)
        lines = "\n".join(f"  - {failure}" for failure in failures)
        super().__init__(
            f"table {table}: audit failed, nothing was published. The staged files are kept in {where}\n{lines}"
        )


class PublishConflict(NightrecError):
    """Another attempt published the same partition since this one began."""

    def __init__(self, table: str, run_date: str, detail: str) -> None:
        self.table, self.run_date = table, run_date
        super().__init__(
            f"table {table}, run_date={run_date}: another attempt published this partition first ({detail}). "
            "Nothing of this attempt was committed; retry the task to publish on top of it."
        )


class LakeError(NightrecError):
    """The lake cannot be read or written at its URI."""


class ModelError(NightrecError):
    """A language model or encoder is absent, corrupted or cannot be loaded."""


class BenchmarkError(NightrecError):
    """A benchmark cannot be trusted: a peer failed or broke the rules, or two implementations of a metric disagree."""


class ExperimentError(NightrecError):
    """The counts of an experiment cannot be read out: a column is absent, or a user was shown two arms."""
