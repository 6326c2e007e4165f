"""Arguments that topics share, and what they mean: where the server is, who asks, what is printed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from vecraft.client import Client, Endpoint
from vecraft.exits import MISUSED, CommandFailed

DEFAULT_URL = "http://localhost:6333"
DEFAULT_TIMEOUT_S = 30.0
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Run = Callable[[argparse.Namespace], int]


def server_options() -> argparse.ArgumentParser:
    """A parent of parsers whose commands ask a server."""
    shared = argparse.ArgumentParser(add_help=False)
    add_server_options(shared)
    return shared


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for scripts; errors likewise")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    server = parser.add_argument_group("server")
    server.add_argument("--url", metavar="URL", help=f"of a server (VECRAFT_URL; {DEFAULT_URL})")
    server.add_argument(
        "--api-key",
        metavar="KEY",
        help="better VECRAFT_API_KEY or --api-key-file: other users of this machine see arguments",
    )
    server.add_argument(
        "--api-key-file",
        metavar="FILE",
        help="whose first line is the API key or a token; - is standard input",
    )
    server.add_argument(
        "--timeout",
        type=positive_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="SECONDS",
        help="for an answer (%(default)g)",
    )
    server.add_argument("--ca-cert", type=Path, metavar="FILE", help="certificates to trust over https")
    server.add_argument("--cert", type=Path, metavar="FILE", help="certificate to show to the server")
    server.add_argument(
        "--cert-key", type=Path, metavar="FILE", help="its key, unless it is in the same file"
    )


def subcommand(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run,
    summary: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add ``vecraft TOPIC NAME``, done by ``run``."""
    command = commands.add_parser(name, help=summary, description=summary, parents=list(parents))
    command.set_defaults(run=run)
    return command


def positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def positive_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def unsigned_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def endpoint(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Raises: CommandFailed if a file with a key or certificate cannot be read."""
    for name in ("ca_cert", "cert", "cert_key"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            raise CommandFailed(f"--{name.replace('_', '-')} {path} is no file", status=MISUSED)
    return Endpoint(
        url=options.url or environ.get("VECRAFT_URL") or DEFAULT_URL,
        api_key=_api_key(options, environ),
        timeout_s=options.timeout,
        ca_cert=options.ca_cert,
        certificate=options.cert,
        key=options.cert_key,
    )


def connect(options: argparse.Namespace, *, connections: int = 1, tries: int = 1) -> Client:
    return Client(endpoint(options), connections=connections, tries=tries)


def secret(path: str, what: str) -> str:
    """The first line of a file; ``-``: of standard input. Raises: CommandFailed."""
    try:
        text = sys.stdin.readline() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{what} cannot be read from {path}: {error}", status=MISUSED) from error
    found = text.partition("\n")[0].strip()
    if not found:
        raise CommandFailed(f"{what} is not in {path}: its first line is empty", status=MISUSED)
    return found


def _api_key(options: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    if options.api_key and options.api_key_file:
        raise CommandFailed("--api-key and --api-key-file exclude each other", status=MISUSED)
    if options.api_key_file:
        return secret(options.api_key_file, "the API key")
    return options.api_key or environ.get("VECRAFT_API_KEY") or None


def duration_s(text: str) -> int:
    """Seconds of a duration such as 30d; for argparse."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 15m, 24h or 30d")
    return int(found[1]) * _UNITS_S[found[2]]
