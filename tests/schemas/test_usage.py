"""Memory of a process tree."""

import subprocess
import sys
from pathlib import Path

from schemas.usage import UsageMeter

ROOT = Path(__file__).parents[2]
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


CHILD = """
from schemas.usage import UsageMeter
with UsageMeter(interval=60) as meter:
    print(meter.read()["driver_rss_mb"])
"""


def test_a_driver_has_its_own_memory_not_that_of_the_process_that_started_it():
    held = bytearray(SIZE)
    held[::4096] = b"1" * len(held[::4096])  # pages are in memory once they are written
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 0 < int(told.stdout) < SIZE / 2**20
    assert len(held) == SIZE
