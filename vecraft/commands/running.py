"""From a topic's arguments to an exit status; what goes wrong is told in one line."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

from vecraft.client import ClientError, Unreachable
from vecraft.commands import TOPICS
from vecraft.exits import FAILED, INTERRUPTED, OK, UNREACHABLE, CommandFailed


def topic_parser(name: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f"vecraft.commands.{TOPICS[name].module}")
    parser = argparse.ArgumentParser(
        prog=f"vecraft {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    return parser


def run_topic(name: str, argv: Sequence[str]) -> int:
    """Run ``vecraft NAME ARGV…``; returns its exit status."""
    options = topic_parser(name).parse_args(argv)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough; Python must not flush to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ClientError, CommandFailed, OSError) as error:
        return _failed(error, as_json=getattr(options, "json", None) is True)  # of bench it is a file
    return status


def _failed(error: Exception, *, as_json: bool) -> int:
    status = _status_of(error)
    told = json.dumps({"error": str(error), "exit_status": status}) if as_json else f"vecraft: {error}"
    print(told, file=sys.stderr)
    return status


def _status_of(error: Exception) -> int:
    if isinstance(error, CommandFailed):
        return error.status
    return UNREACHABLE if isinstance(error, Unreachable) else FAILED
