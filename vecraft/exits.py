"""How a command ends.

Exit statuses of all topics (``doctor`` and ``bench`` have their own):

    0    done
    1    not done: the server refused, or something is missing; one line on standard error says what
    2    the command line is wrong
    3    no server answers at the URL
    130  interrupted (SIGINT)
"""

from __future__ import annotations

OK, FAILED, MISUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class CommandFailed(Exception):
    """The command cannot be done; the text is one line for its user."""

    def __init__(self, reason: str, *, status: int = FAILED) -> None:
        super().__init__(reason)
        self.status = status
