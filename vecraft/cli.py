"""The command line: ``vecraft [serve] [options]``, a drop-in for the ``qdrant`` binary (reference 6.2), and
``vecraft TOPIC …`` (``vecraft.commands``).

Lives here: the flags of ``serve``, and what they turn into. May not live here: anything that serves. The
engine, and the modules of topics, are imported only when they are about to run, so that ``--help`` and
``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vecraft import QDRANT_VERSION, __version__
from vecraft.commands import TOPICS
from vecraft.configuration import ConfigurationError, Loaded, Membership, RestoreFirst, load
from vecraft.settings import doubtful_keys, unmet, without_effect

EXIT_BAD_CONFIGURATION = 1


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="vecraft",
        description="A vector database that speaks Qdrant's API. Without a command it serves.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps lines apart
        epilog=_commands(),
    )
    flags.add_argument("command", nargs="?", choices=["serve"], default="serve", help="what to do (serve)")
    add_serve_flags(flags)
    # Scripts parse the first line as the ``qdrant`` binary's.
    version = f"qdrant {QDRANT_VERSION}\nvecraft {__version__}"
    flags.add_argument("--version", action="version", version=version)
    return flags


def _commands() -> str:
    lines = [f"  {name:<12} {topic.summary}" for name, topic in TOPICS.items()]
    return "\n".join(["other commands (vecraft COMMAND --help):", *lines])


def add_serve_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument("--config-path", type=Path, metavar="FILE", help="another configuration file")
    flags.add_argument("--uri", metavar="URI", help="at which other peers reach this one (QDRANT_URI)")
    flags.add_argument(
        "--bootstrap",
        action="append",
        metavar="URI",
        help="of a peer to join (QDRANT_BOOTSTRAP); repeatable. A node that is the first of them founds"
        " the cluster when all the others say that they are of none",
    )
    flags.add_argument("--bootstrap-file", type=Path, metavar="FILE", help="of such URIs, one a line")
    flags.add_argument(
        "--router",
        action="store_true",
        help="hold no shards, be no peer: send requests to the peers of the cluster at --bootstrap"
        " (cluster.router)",
    )
    flags.add_argument(
        "--rejoin",
        action="store_true",
        help="end with status 103 when the cluster has removed this node, and join anew at the next start",
    )
    flags.add_argument(
        "--snapshot",
        "--collection-snapshot",
        action="append",
        metavar="PATH:NAME",
        help="recover a collection first; repeatable",
    )
    flags.add_argument("--storage-snapshot", metavar="PATH", help="recover the whole storage first")
    flags.add_argument(
        "-f", "--force-snapshot", action="store_true", help="let snapshots replace what exists"
    )
    flags.add_argument("--disable-telemetry", action="store_true", help="accepted; nothing is ever sent")
    flags.add_argument("--stacktrace", action="store_true", help="accepted; traces are always logged")
    flags.add_argument(
        "--reinit",
        action="store_true",
        help="start the consensus state anew: alone, or with --bootstrap as a new member of that cluster",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given and given[0] in TOPICS:
        from vecraft.commands.running import run_topic  # here: serving needs no client

        return run_topic(given[0], given[1:])
    return _serve(given)


def _serve(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    try:
        loaded = configure(options, os.environ)
    except ConfigurationError as error:
        print(f"vecraft cannot start:\n{error}", file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    for library in ("OMP", "OPENBLAS"):  # FAISS and numpy read them when they are loaded
        os.environ[f"{library}_NUM_THREADS"] = "1"  # serving threads take one core each
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # processes are started by spawn, never forked
    from vecraft.serve import run  # here: the engine is heavy and sets up its threads on import

    return run(loaded)


def configure(options: argparse.Namespace, environ: Any) -> Loaded:
    """Settings from every source, checked.

    Raises: ConfigurationError if they are wrong or ask for what this version does not have.
    """
    flags: dict[str, Any] = {"telemetry_disabled": True} if options.disable_telemetry else {}
    if options.router:
        flags["cluster"] = {"enabled": True, "router": True}
    loaded = load(directory=Path.cwd(), environ=environ, config_path=options.config_path, flags=flags)
    problems = unmet(loaded.settings)
    if problems:
        raise ConfigurationError("\n".join(problems))
    membership = Membership(
        uri=options.uri or environ.get("QDRANT_URI") or None,
        bootstrap=_bootstrap(options, environ),
        reinit=options.reinit,
        rejoin=options.rejoin,
    )
    warnings = loaded.warnings + without_effect(loaded.settings) + doubtful_keys(loaded.settings.service)
    if loaded.settings.cluster.router:
        warnings += _check_router(options, membership)
    elif not loaded.settings.cluster.enabled:
        given = [name for name in membership.__struct_fields__ if getattr(membership, name)]
        warnings += [f"--{name} has no effect without cluster.enabled" for name in given]
    return replace(loaded, warnings=warnings, membership=membership, restore_first=_restore_first(options))


def _check_router(options: argparse.Namespace, membership: Membership) -> list[str]:
    """Returns: warnings. Raises: ConfigurationError."""
    if not membership.bootstrap:
        raise ConfigurationError("a router needs --bootstrap, the URI of a peer of the cluster to follow")
    if options.snapshot or options.storage_snapshot:
        raise ConfigurationError("a router holds no shards, so it cannot recover snapshots")
    idle = {"uri": membership.uri, "reinit": membership.reinit, "rejoin": membership.rejoin}
    return [f"--{name} has no effect on a router" for name, value in idle.items() if value]


def _bootstrap(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Raises: ConfigurationError."""
    uris = list(options.bootstrap or environ.get("QDRANT_BOOTSTRAP", "").split(","))
    if options.bootstrap_file is not None:
        try:
            uris += options.bootstrap_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--bootstrap-file {options.bootstrap_file}: {error}") from error
    return tuple(uri.strip() for uri in uris if uri.strip())


def _restore_first(options: argparse.Namespace) -> RestoreFirst:
    """Raises: ConfigurationError."""
    collections = []
    for text in options.snapshot or ():
        path, _, name = text.rpartition(":")
        if not path or not name:
            raise ConfigurationError(f"--snapshot {text}: a path and a collection are expected, as PATH:NAME")
        collections.append((Path(path), name))
    storage = None if options.storage_snapshot is None else Path(options.storage_snapshot)
    return RestoreFirst(collections=tuple(collections), storage=storage, force=options.force_snapshot)


if __name__ == "__main__":
    sys.exit(main())
