"""Logging: structlog and the standard library's loggers, one line per event on standard output.

Lives here: levels, formats, the optional file. Only the composition root calls ``configure_logging``.
Levels are given as Qdrant takes them, ``info`` or ``info,node=debug`` (``=`` and targets as logger
names; ``::`` reads as a dot); what does not parse is reported and skipped.

Tracebacks are without the values of variables, among which are keys, payloads and vectors.
"""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from vecraft.settings import Settings

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 10,
}
ACCESS_LOGGER = "vecraft.access"

Processors = list[Any]


def configure_logging(settings: Settings) -> list[str]:
    """Set up logging for the process; returns what could not be understood."""
    text = settings.logger.log_level or settings.log_level
    level, targets, problems = parse_filter(text)
    shared: Processors = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    root = logging.getLogger()
    root.handlers[:] = [_handler(logging.StreamHandler(sys.stdout), settings.logger.format, shared)]
    on_disk = settings.logger.on_disk
    if on_disk.enabled and on_disk.log_file:
        root.handlers.append(_handler(WatchedFileHandler(on_disk.log_file), on_disk.format, shared))
    root.setLevel(level)
    for name, of_target in targets.items():
        logging.getLogger(name).setLevel(of_target)
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
            targets[target.split("[")[0].replace("::", ".")] = wanted
        else:
            level = wanted
    return level, targets, problems


def _handler(handler: logging.Handler, form: str, shared: Processors) -> logging.Handler:
    if form == "json":
        tracebacks = ExceptionDictTransformer(show_locals=False)
        render: Processors = [ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    else:
        colors = isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout
        render = [
            structlog.dev.ConsoleRenderer(
                colors=colors and sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    return handler
