"""Run a command as a process group of its own, line by line, and end all of it when told to."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

TAIL = 20
"""Lines of output that an error repeats."""
GRACE_SECONDS = 10.0
"""How long processes may take to end by themselves before they are killed."""


class ProcessFailed(Exception):
    """A command failed or was stopped; the message ends with its last lines."""

    def __init__(self, command: Sequence[str], how: str, tail: Sequence[str]) -> None:
        super().__init__(f"`{' '.join(command)}` {how}. Its last lines:\n" + "\n".join(tail))


class LocalProcess:
    """One command. `run` blocks until it ends; `stop`, also from a signal handler, ends it and its children."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command, self.env = tuple(command), dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, on_line: Callable[[str], object]) -> None:
        """Run it, handing over each line of output as it comes. Raises ProcessFailed."""
        self._process = subprocess.Popen(
            self.command,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Its own group, so that a stop reaches all of its children and nothing else.
            start_new_session=True,
        )
        tail: deque[str] = deque(maxlen=TAIL)
        try:
            for line in _lines(self._process):
                tail.append(line)
                on_line(line)
            status = self._process.wait()
        finally:
            stop_tree(self._process.pid)
            self._process = None
        if self._stopped:
            raise ProcessFailed(self.command, "was stopped", tail)
        if status:
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            raise ProcessFailed(self.command, how, tail)

    def stop(self) -> None:
        """End the process group and every descendant, politely first; nothing happens when all have ended."""
        if self._process is not None:
            self._stopped = True
            stop_tree(self._process.pid)


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """The output until its end; or until the process has ended and no more comes, as a daemon may hold the pipe."""
    assert process.stdout is not None
    pipe, rest = process.stdout.fileno(), b""
    while True:
        if not select.select([pipe], [], [], 1.0)[0]:
            if process.poll() is not None:
                break
            continue
        if not (piece := os.read(pipe, 65_536)):
            break
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace").rstrip() for line in whole)
    if rest:
        yield rest.decode(errors="replace").rstrip()


def stop_tree(pid: int, grace: float = GRACE_SECONDS) -> None:
    """Ask a process, the group it leads and its descendants to end; kill what is left after `grace` seconds.

    Whoever started the process still has to wait for it: nothing is reaped here, so that its status is not lost.
    """
    members = _members(pid)
    _signal(members, signal.SIGTERM)
    patience = time.monotonic() + grace
    while (members := [process for process in members if _alive(process)]) and time.monotonic() < patience:
        time.sleep(0.05)
    _signal([*members, *_members(pid)], signal.SIGKILL)


def _signal(processes: list, number: signal.Signals) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _members(pid: int) -> list:
    """The living processes of a group and the descendants of its leader; zombies have ended."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.pid == pid or os.getpgid(process.pid) == pid:
                found[process.pid] = process
                found.update({child.pid: child for child in process.children(recursive=True)})
    return [process for process in found.values() if _alive(process)]


def _alive(process) -> bool:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
