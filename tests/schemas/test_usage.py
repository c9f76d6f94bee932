"""Memory of a process tree."""

import subprocess
import sys

from schemas.usage import UsageMeter

SIZE = 200 * 2**20
READER = f"""
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), {SIZE}, access=mmap.ACCESS_READ) as pages:
    print(sum(pages[::4096]), flush=True)
    sys.stdin.read()
"""


def test_pages_that_processes_share_count_once(tmp_path):
    path = tmp_path / "shared"
    path.write_bytes(bytes(SIZE))
    readers = []
    with UsageMeter(interval=60) as meter:
        before = meter.read()["peak_rss_mb"]
        try:
            for _ in range(4):
                command = [sys.executable, "-S", "-c", READER, str(path)]
                readers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
                assert readers[-1].stdout.readline() == b"0\n"
            grown = meter.read()["peak_rss_mb"] - before
        finally:
            for reader in readers:
                reader.communicate()
    assert 1 <= grown / (SIZE / 2**20) < 2
