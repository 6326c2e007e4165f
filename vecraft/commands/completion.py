"""Completion of commands, options and files by your shell.

bash: vecraft completion bash > ~/.local/share/bash-completion/completions/vecraft
zsh:  vecraft completion zsh > ~/.zsh/completions/_vecraft    (in $fpath)
"""

from __future__ import annotations

import argparse

import shtab

from vecraft.cli import add_serve_flags
from vecraft.commands import TOPICS
from vecraft.commands.running import topic_parser
from vecraft.exits import OK


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    parser.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    print(shtab.complete(whole_parser(), options.shell))
    return OK


def whole_parser() -> argparse.ArgumentParser:
    """All topics and ``serve`` as one parser, which nothing else needs: a run loads one topic only."""
    root = argparse.ArgumentParser(prog="vecraft")
    commands = root.add_subparsers(metavar="COMMAND")
    add_serve_flags(commands.add_parser("serve", help="run a node"))
    for name, topic in TOPICS.items():
        commands.add_parser(name, parents=[topic_parser(name)], help=topic.summary, add_help=False)
    return root
