"""Real embeddings in a node, and searches of them. The node is the demo's own, which is left running, or that
at --url. Needs the repository's `examples/wordnet`, and qdrant-client.
"""

from __future__ import annotations

import argparse

from vecraft.exits import CommandFailed


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", metavar="URL", help="of a node that runs already; VECRAFT_API_KEY is shown there"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        from vecraft import demo  # here: it is a client's program, and its client is no dependency of ours
    except ImportError as error:
        raise CommandFailed("the demo needs qdrant-client: pip install qdrant-client") from error
    return demo.main([] if options.url is None else ["--url", options.url])
