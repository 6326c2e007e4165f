"""A node's applications as they are composed when it runs alone, in a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vecraft.applications import Applications
from vecraft.configuration import RestoreFirst
from vecraft.settings import ServiceSettings, Settings, StorageSettings
from vecraft.standalone import standalone


class NoLogging:
    """The logging of the tests' process is nobody's to see or to change."""

    def show(self) -> dict[str, Any]:
        return {}

    def change(self, part: dict[str, Any]) -> None:
        raise AssertionError


@asynccontextmanager
async def serving(
    directory: Path, service: ServiceSettings, settings: Settings | None = None
) -> AsyncIterator[Applications]:
    """``settings``: others than those of the service and of the storage's place."""
    storage = StorageSettings(
        storage_path=str(directory / "storage"), snapshots_path=str(directory / "snapshots")
    )
    (directory / "storage").mkdir(exist_ok=True)
    chosen = replace(settings or Settings(), service=service, storage=storage)
    async with standalone(chosen, NoLogging(), RestoreFirst()) as applications:
        yield applications
