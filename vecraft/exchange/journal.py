"""How far a job has come, in a file that outlives the process: after a kill the same command goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vecraft.exits import CommandFailed

VERSION = 1


class Progress(Struct, frozen=True):
    """``position``: all before it is done; ``points``: how many these are; ``detail``: the job's own."""

    position: int = 0
    points: int = 0
    detail: dict[str, Any] = {}


class _File(Struct, frozen=True):
    version: int
    job: dict[str, Any]
    progress: Progress


class Journal:
    """``job`` says what is done to what; a file about another job is not gone on with."""

    def __init__(self, path: Path, job: dict[str, Any]) -> None:
        self.path = path
        self._job = job

    def load(self) -> Progress:
        """Where to go on. Raises: CommandFailed if the file is about another job or cannot be read."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except FileNotFoundError:
            return Progress()
        except (OSError, msgspec.DecodeError) as error:
            raise CommandFailed(
                f"the journal {self.path} cannot be read: {error}; --restart begins anew"
            ) from error
        if found.version != VERSION:
            raise CommandFailed(f"the journal {self.path} has version {found.version}, not {VERSION}")
        differing = sorted(key for key in found.job.keys() | self._job.keys() if self._differs(found, key))
        if differing:
            told = ", ".join(f"{key} {found.job.get(key)!r}, now {self._job.get(key)!r}" for key in differing)
            raise CommandFailed(
                f"the journal {self.path} is about another job ({told}); --restart begins anew"
            )
        return found.progress

    def _differs(self, found: _File, key: str) -> bool:
        return bool(found.job.get(key) != self._job.get(key))

    def save(self, progress: Progress) -> None:
        """Durably, and whole or not at all. Raises: CommandFailed."""
        scratch = self.path.with_name(f"{self.path.name}.new")
        try:
            with scratch.open("wb") as file:
                file.write(msgspec.json.encode(_File(VERSION, self._job, progress)))
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path)
        except OSError as error:
            text = (
                f"the journal {self.path} cannot be written: {error.strerror}; name another by --resume FILE"
            )
            raise CommandFailed(text) from error

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
