"""Findings, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Severity = Literal["warning", "error"]


class Finding(Struct, frozen=True):
    """``check``: the topic; ``mend``: a command, or what to change."""

    check: str
    severity: Severity
    what: str
    why: str
    mend: str


def exit_status(findings: Iterable[Finding]) -> int:
    """0: all is well; 1: there are warnings; 2: there are errors."""
    severities = {finding.severity for finding in findings}
    return 2 if "error" in severities else 1 if severities else 0
