"""The builder process: a job on stdin, an answer on stdout. Its argument is the id of its parent.

It runs at low priority, is the first to go when memory is short, and dies with its parent: the server is
never the one that is killed. Errors other than a refused size end it with a traceback on stderr.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from node.index import set_threads
from node.segments.building.assemble import assemble
from node.segments.building.jobs import Answer, TooLarge, decode_job, encode
from node.segments.errors import BuildTooLarge

_PR_SET_PDEATHSIG = 1
_OOM_FIRST = "1000"


def main() -> None:
    _die_with(int(sys.argv[1]))
    job = decode_job(sys.stdin.buffer.read())
    os.nice(job.niceness)
    _be_killed_first()
    set_threads(job.threads)
    answer: Answer
    try:
        answer = assemble(job)
    except BuildTooLarge as error:
        answer = TooLarge(error.needed, error.limit)
    sys.stdout.buffer.write(encode(answer))


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent's thread ends; it may be gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _be_killed_first() -> None:
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text(_OOM_FIRST)


if __name__ == "__main__":
    main()
