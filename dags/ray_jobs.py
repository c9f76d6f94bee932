"""Submit, follow and re-attach to jobs of a Ray cluster through its job API.

A submission id says which task of which run it is, so that a worker that was restarted finds the job that its
predecessor submitted, and a second submission of the same one is refused by the cluster.
"""

import asyncio
import hashlib
import itertools
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

ACTIVE = ("PENDING", "RUNNING")
POLL_SECONDS = 2.0
TAIL = 20
"""Lines of output that an error repeats."""


class JobClient(Protocol):
    """The part of `ray.job_submission.JobSubmissionClient` that is used here."""

    def submit_job(
        self,
        *,
        entrypoint: str,
        submission_id: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> str:
        """Start a job. Raises RuntimeError when the id was used before."""

    def get_job_status(self, job_id: str) -> Any:
        """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED. Raises RuntimeError for an unknown job."""

    def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """Pieces of the job's output from its beginning, until it ends."""

    def stop_job(self, job_id: str) -> bool:
        """Ask a job to end."""


class JobFailed(Exception):
    """A Ray job failed or was stopped; the message ends with its last lines."""


def submission_id(dag_id: str, run_id: str, task_id: str, map_index: int, config_hash: str) -> str:
    """The id of a task's job, the same whoever computes it; a digest keeps ids apart that look alike when cleaned."""
    key = "\n".join([dag_id, run_id, task_id, str(map_index), config_hash])
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{task_id}-{run_id}").strip("-")[:80]
    return f"nightrec-{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def submit_or_attach(
    client: JobClient, base: str, entrypoint: str, runtime_env: dict[str, Any], metadata: Mapping[str, str]
) -> str:
    """The id of the active job of a task: one that is there already, else a new one.

    Jobs of one task are numbered: `base-1`, `base-2`, ... A number whose job has ended is passed over: its failure
    (or a success that was cleared in Airflow on purpose) must not block another run of the task.
    """
    for number in itertools.count(1):
        name = f"{base}-{number}"
        if (status := job_status(client, name)) is None:
            try:
                return client.submit_job(
                    entrypoint=entrypoint, submission_id=name, runtime_env=runtime_env, metadata=dict(metadata)
                )
            except RuntimeError:
                # Somebody may have submitted the same job between the two calls: then it is ours to follow.
                if (status := job_status(client, name)) is None:
                    raise
        if status in ACTIVE:
            return name
    raise AssertionError("count() does not end")


def job_status(client: JobClient, name: str) -> str | None:
    """The status of a job; None when the cluster does not know it. Connection errors are raised."""
    try:
        return str(client.get_job_status(name))
    except RuntimeError as error:
        # The client raises one kind of error for all answers but 200; the answer's status is in its text.
        if "404" in str(error) or "does not exist" in str(error):
            return None
        raise


def follow(client: JobClient, name: str, on_line: Callable[[str], object], poll: float = POLL_SECONDS) -> None:
    """Hand over the lines that a job writes until it ends. Raises JobFailed when it did not succeed.

    A broken log connection does not end the job: it is opened again and goes on where it was.
    """
    lines = LineStream(on_line)
    while (status := job_status(client, name)) in ACTIVE:
        asyncio.run(_stream(client, name, lines))
        time.sleep(poll)
    if lines.seen == 0 and status is not None:
        asyncio.run(_stream(client, name, lines))
    lines.close()
    if status != "SUCCEEDED":
        ended = f"ended as {status}" if status else "is unknown to the cluster, which may have been restarted"
        raise JobFailed(f"Ray job {name} {ended}. Its last lines:\n" + "\n".join(lines.tail))


class LineStream:
    """Puts pieces of output together into lines, skipping what an earlier connection has already given."""

    def __init__(self, on_line: Callable[[str], object]) -> None:
        self.seen = 0
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._on_line, self._position, self._rest = on_line, 0, ""

    def rewind(self) -> None:
        """A new connection begins at the start of the output."""
        self._position = 0

    def add(self, piece: str) -> None:
        """Take the next piece of the output."""
        new = piece[max(0, self.seen - self._position) :]
        self._position += len(piece)
        self.seen = max(self.seen, self._position)
        *whole, self._rest = (self._rest + new).split("\n")
        for line in whole:
            self._emit(line)

    def close(self) -> None:
        """Give away a last line that had no end."""
        if self._rest:
            self._emit(self._rest)
            self._rest = ""

    def _emit(self, line: str) -> None:
        self.tail.append(line)
        self._on_line(line)


async def _stream(client: JobClient, name: str, lines: LineStream) -> None:
    lines.rewind()
    try:
        async for piece in client.tail_job_logs(name):
            lines.add(piece)
    except (RuntimeError, OSError) as error:
        lines.tail.append(f"[log connection lost: {error}]")
