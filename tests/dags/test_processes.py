"""A local task is a process group of its own: streamed, and gone when it is stopped."""

import os
import sys
import threading
import time

import psutil
import pytest

from dags.processes import LocalProcess, ProcessFailed, stop_tree


def python(code: str) -> LocalProcess:
    return LocalProcess([sys.executable, "-u", "-c", code], os.environ)


def gone(pid: int, within: float = 10) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def run_in_thread(process: LocalProcess):
    lines, errors, ready = [], [], threading.Event()

    def on_line(line):
        lines.append(line)
        ready.set()

    def run():
        try:
            process.run(on_line)
        except ProcessFailed as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(30)
    return thread, lines, errors


def test_lines_come_as_they_are_written():
    times = []
    python("import time; print('a'); time.sleep(0.5); print('b')").run(lambda line: times.append(time.monotonic()))
    assert times[1] - times[0] > 0.3


def test_a_failure_tells_the_status_and_the_last_lines():
    with pytest.raises(ProcessFailed, match=r"status 3(.|\n)*line 39\nreason$") as failure:
        python("import sys; [print('line', n) for n in range(40)]; print('reason', file=sys.stderr); sys.exit(3)").run(
            print
        )
    assert "line 9\n" not in str(failure.value)


def test_a_process_that_was_killed_is_no_success():
    with pytest.raises(ProcessFailed, match="killed by SIGKILL"):
        python("import os; os.kill(os.getpid(), 9)").run(print)


def test_output_that_is_no_utf8_does_not_end_the_task():
    lines = []
    python(r"import sys; sys.stdout.buffer.write(b'caf\xe9\n')").run(lines.append)
    assert lines == ["caf\ufffd"]


CHILD = "import os, time; print(os.getpid()); time.sleep(99)"
DEAF = "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid()); time.sleep(99)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-u', '-c', {code!r}], {more})"


@pytest.mark.parametrize(
    ("code", "more"),
    [(CHILD, ""), (CHILD, "start_new_session=True"), (DEAF, "")],
    ids=["in the group", "in a session of its own", "deaf to SIGTERM"],
)
def test_a_stop_ends_the_children_too(code, more, monkeypatch):
    monkeypatch.setattr(stop_tree, "__defaults__", (1.0,))
    process = python(PARENT.format(code=code, more=more))
    thread, lines, errors = run_in_thread(process)
    process.stop()
    thread.join(30)
    assert gone(int(lines[0]))
    assert "was stopped" in str(errors[0])


def test_a_process_that_ends_well_when_stopped_is_no_success():
    process = python(
        "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(0)); print('ready'); time.sleep(99)"
    )
    thread, _, errors = run_in_thread(process)
    process.stop()
    thread.join(30)
    assert "was stopped" in str(errors[0])


def test_nothing_that_a_task_leaves_behind_outlives_it():
    lines = []
    child = "import time; time.sleep(99)"
    python(f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid)").run(lines.append)
    assert gone(int(lines[0]))


def test_stopping_what_has_ended_is_harmless():
    process = python("pass")
    process.run(print)
    process.stop()
