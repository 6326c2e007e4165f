"""The files of the audit log: one for each day or hour, a JSON object a line, the newest few of them.

A line is handed to the operating system before its request goes on: what a process was killed at is on
record, a loss of power may cost the last moments. A line that cannot be written is told of in the program's
log and the request goes on: a full disk stops writes, not reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from protos.logger import get_logger
from router.audit.entries import UNRECORDED, Shown, Wanted, encode, entry_of
from router.auth.gate import Decision

_NAME = re.compile(r"audit\.\d{4}-\d\d-\d\d(-\d\d)?\.log")
_PERIODS = {"daily": "%Y-%m-%d", "hourly": "%Y-%m-%d-%H"}
_BLOCK_BYTES: Final = 64 << 10  # read at a time, from the end
_FLAGS: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC

_log = get_logger(__name__)


class AuditFigures(Struct, frozen=True):
    """The log as ``/telemetry`` shows it (reference 4.2): how it is configured, what its files take."""

    dir: str
    rotation: str
    max_log_files: int
    trust_forwarded_headers: bool
    log_api: bool
    dir_size_bytes: int


class AuditLog:
    """``rotation``: ``daily`` or ``hourly``, by UTC. Use on one thread, but for ``search``."""

    def __init__(
        self,
        directory: Path,
        *,
        rotation: str = "daily",
        files_max: int = 7,
        shown: Shown = Shown(),  # noqa: B008 - frozen
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises: OSError."""
        self._directory, self._files_max, self._shown, self._now = directory, files_max, shown, now
        self._rotation, self._format = rotation, _PERIODS[rotation]
        self._period, self._file = "", -1
        directory.mkdir(parents=True, exist_ok=True)
        self._turn_to(now().astimezone(UTC).strftime(self._format))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def record(self, decision: Decision) -> None:
        """Put a decision on record."""
        if decision.asked.api in UNRECORDED:
            return
        now = self._now()
        line = encode(entry_of(decision, self._shown, now)) + b"\n"
        try:
            period = now.astimezone(UTC).strftime(self._format)
            if period != self._period:
                self._turn_to(period)
            self._write(line)
        except OSError as error:
            _log.error("audit_entry_lost", error=str(error), method=decision.asked.operation)

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full: the next line begins anew
            os.write(self._file, b"\n")
            raise OSError("the line was cut off")

    def _turn_to(self, period: str) -> None:
        opened = os.open(self._directory / f"audit.{period}.log", _FLAGS, 0o600)
        self.close()
        self._file, self._period = opened, period
        for old in self._newest_files()[self._files_max :]:
            old.unlink(missing_ok=True)

    def _newest_files(self) -> list[Path]:
        named = (path for path in self._directory.iterdir() if _NAME.fullmatch(path.name))
        return sorted(named, key=lambda path: path.name, reverse=True)

    def figures(self) -> AuditFigures:
        """Raises: OSError."""
        shown = self._shown
        return AuditFigures(
            dir=str(self._directory),
            rotation=self._rotation,
            max_log_files=self._files_max,
            trust_forwarded_headers=shown.forwarded,
            log_api=shown.api,
            dir_size_bytes=sum(path.stat().st_size for path in self._newest_files()),
        )

    def search(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The newest first. Reads files: not on the event loop. Raises: OSError."""
        found: list[dict[str, Any]] = []
        earliest, latest = wanted.earliest, wanted.latest
        for path in self._newest_files():
            for line in _lines_from_the_end(path):
                entry = _decoded(line)
                if entry is None or entry["timestamp"] > latest or not wanted.admits(entry):
                    continue
                if entry["timestamp"] < earliest:
                    return found
                found.append(entry)
                if len(found) >= wanted.limit:
                    return found
        return found


def _decoded(line: bytes) -> dict[str, Any] | None:
    """None: a line that was cut off."""
    try:
        entry = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return entry if isinstance(entry.get("timestamp"), str) else None


def _lines_from_the_end(path: Path) -> Iterator[bytes]:
    """Of a file that may be removed meanwhile."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        at, rest = file.seek(0, os.SEEK_END), b""
        while at > 0:
            size = min(_BLOCK_BYTES, at)
            at -= size
            file.seek(at)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from filter(None, reversed(lines))
        if rest:
            yield rest


_decoder = msgspec.json.Decoder(dict[str, Any])
