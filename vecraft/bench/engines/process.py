"""One engine in a process of its own, so that memory and threads are its alone."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from vecraft.bench.engines.port import Answers, Effort, Settings, Spent, disk_bytes, private_bytes
from vecraft.bench.sets import VectorSet

_SPAWN = multiprocessing.get_context("spawn")
_STOP_TIMEOUT_S = 60.0

ENGINES = {
    "vecraft": ("vecraft.bench.engines.ours", "Vecraft"),
    "edge": ("vecraft.bench.engines.edge", "Edge"),
    "faiss": ("vecraft.bench.engines.plain", "Flat"),
    "faiss-8bit": ("vecraft.bench.engines.plain", "Coded"),
}


class EngineFailed(Exception):
    """An engine's process raised an error or ended; its traceback is the text."""


class EngineProcess:
    """Implements ``port.Engine`` by asking the process; use as a context manager."""

    def __init__(self, engine: str, folder: Path, settings: Settings, vectors: VectorSet) -> None:
        self._folder = folder
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(theirs, ENGINES[engine], folder, settings, vectors), name=f"bench-{engine}"
        )
        # Ours multiplies matrices with numpy in threads of its own, as the server does.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        self._process.start()
        theirs.close()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.is_alive():
            try:
                self._ask("close")
            except EngineFailed:
                if error is None:
                    raise
            finally:
                self._pipe.close()
                self._process.join(_STOP_TIMEOUT_S)
                self._process.kill()

    def ingest(self) -> Spent:
        return self._ask("ingest")  # type: ignore[no-any-return]

    def index(self) -> Spent:
        return self._ask("index")  # type: ignore[no-any-return]

    def serve(self, threads: int) -> None:
        self._ask("serve", threads)

    def singles(self, effort: Effort) -> Answers:
        return self._ask("singles", effort)  # type: ignore[no-any-return]

    def batches(self, effort: Effort, size: int) -> Answers:
        return self._ask("batches", effort, size)  # type: ignore[no-any-return]

    def facts(self) -> dict[str, int]:
        return self._ask("facts")  # type: ignore[no-any-return]

    def private_bytes(self) -> int:
        return self._ask("private_bytes")  # type: ignore[no-any-return]

    def disk_bytes(self) -> int:
        return disk_bytes(self._folder)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((method, arguments))
            failed, answer = self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise EngineFailed(f"{self._process.name} ended during {method}") from error
        if failed:
            raise EngineFailed(f"{self._process.name}, {method}: {answer}")
        return answer


def _serve(
    pipe: Connection, where: tuple[str, str], folder: Path, settings: Settings, vectors: VectorSet
) -> None:
    engine: Any = None
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            if engine is None:
                engine = getattr(importlib.import_module(where[0]), where[1])(folder, settings, vectors)
            if method == "private_bytes":
                answer: Any = private_bytes()
            else:
                answer = getattr(engine, method)(*arguments)
            pipe.send((False, answer))
        except Exception:  # noqa: BLE001 - told to the process that asked
            pipe.send((True, traceback.format_exc()))
