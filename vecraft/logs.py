"""Logging: structlog and the standard library's loggers, one line per event.

Lives here: levels, formats, standard output and the optional file, and changing them while the process runs.
Only the composition root makes a ``LogControl``.
Levels are given as Qdrant takes them, ``info`` or ``info,raft=debug`` (``=`` and targets: Qdrant's, or names
of our loggers; ``::`` reads as a dot); what does not parse is reported and skipped.

Tracebacks are without the values of variables, among which are keys, payloads and vectors.
"""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any

import msgspec

from protos.errors import BadInput
from protos.logger import structlog
from protos.request_ids import REQUEST_ID
from vecraft.settings import LoggerSettings, OnDiskLogSettings, Settings

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 10,
}
# What Qdrant's users filter by, and where the same is logged here.
TARGETS = {
    "raft": "consensus.raft",
    "storage": "consensus",
    "collection": "node",
    "segment": "node.segments",
    "wal": "node.storage",
    "api": "router",
    "qdrant": "vecraft",
    "actix_web": "aiohttp",
    "tonic": "grpc",
}
ACCESS_LOGGER = "vecraft.access"

Processors = list[Any]


class LogControl:
    """Implements ``router.rest.operators.Logging``. ``problems``: what could not be understood."""

    def __init__(self, settings: Settings) -> None:
        self._default_level = settings.log_level
        self.problems = self._apply(settings.logger)

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(self._settings)
        shown["log_level"] = self._settings.log_level or self._default_level
        return shown

    def change(self, part: dict[str, Any]) -> None:
        """Raises: BadInput, and nothing is changed."""
        on_disk = part.get("on_disk")
        if isinstance(on_disk, dict) and "log_file" in on_disk:
            raise BadInput("on_disk.log_file can only be set in the configuration")
        merged = _merged(msgspec.to_builtins(self._settings), part)
        try:
            settings = msgspec.convert(merged, LoggerSettings)
        except msgspec.ValidationError as error:
            raise BadInput(f"logger: {error}") from error
        problems = [problem for text in _filters(settings) for problem in parse_filter(text)[2]]
        if problems:
            raise BadInput("; ".join(problems))
        try:
            self._apply(settings)
        except OSError as error:
            raise BadInput(f"the log's file cannot be opened: {error}") from error

    def _apply(self, settings: LoggerSettings) -> list[str]:
        """Raises: OSError if the file cannot be opened; then all is as before."""
        shared: Processors = [
            structlog.contextvars.merge_contextvars,
            _add_request_id,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        text = settings.log_level or self._default_level
        handlers, problems = _handlers(settings, text, shared)
        root = logging.getLogger()
        for old in root.handlers:
            if isinstance(old, WatchedFileHandler):
                old.close()
        root.handlers[:] = handlers
        root.setLevel(min(level for handler in handlers for level in _levels_of(handler)))
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *shared,
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
        )
        self._settings = settings
        return problems


def parse_filter(text: str) -> tuple[int, dict[str, int], list[str]]:
    """Returns: the general level, levels by logger name, and the parts that mean nothing."""
    level, targets, problems = logging.INFO, {}, []
    for part in filter(None, (part.strip() for part in text.split(","))):
        target, given, name = part.rpartition("=")
        wanted = LEVELS.get(name.lower())
        if wanted is None:
            problems.append(f"log_level: {part!r} is not understood")
        elif given:
            named = target.split("[")[0].replace("::", ".")
            targets[TARGETS.get(named, named)] = wanted
        else:
            level = wanted
    return level, targets, problems


class _Levels(logging.Filter):
    """Lets a record through by the level of the nearest target above its logger, else by the general one."""

    def __init__(self, level: int, targets: dict[str, int]) -> None:
        super().__init__()
        self.level, self.targets = level, targets

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.name
        while name and self.targets:
            if name in self.targets:
                return record.levelno >= self.targets[name]
            name = name.rpartition(".")[0]
        return record.levelno >= self.level


def _levels_of(handler: logging.Handler) -> list[int]:
    return [
        level
        for levels in handler.filters
        if isinstance(levels, _Levels)
        for level in (levels.level, *levels.targets.values())
    ]


def _filters(settings: LoggerSettings) -> list[str]:
    return [text for text in (settings.log_level, settings.on_disk.log_level) if text]


def _handlers(
    settings: LoggerSettings, text: str, shared: Processors
) -> tuple[list[logging.Handler], list[str]]:
    """Standard output, and the file if there is to be one. Raises: OSError."""
    output = logging.StreamHandler(sys.stdout)
    problems = _prepare(output, text, settings.format, shared, colors=_colors(settings))
    on_disk: OnDiskLogSettings = settings.on_disk
    if not on_disk.enabled or not on_disk.log_file:
        return [output], problems
    file = WatchedFileHandler(on_disk.log_file)
    problems += _prepare(file, on_disk.log_level or text, on_disk.format, shared, colors=False)
    return [output, file], problems


def _colors(settings: LoggerSettings) -> bool:
    """``auto``: on a terminal only."""
    return sys.stdout.isatty() if settings.color == "auto" else settings.color in (True, "true")


def _prepare(
    handler: logging.Handler, text: str, form: str, shared: Processors, *, colors: bool
) -> list[str]:
    level, targets, problems = parse_filter(text)
    handler.addFilter(_Levels(level, targets))
    if form == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        render: Processors = [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    return problems


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def _merged(known: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    merged = dict(known)
    for key, value in part.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]  # just looked
    return merged
