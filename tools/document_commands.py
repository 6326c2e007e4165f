"""Write ``docs/CLI.md`` from the command line's own parsers: ``make docs``.

    python -m tools.document_commands [--check]

``--check`` writes nothing and exits with 1 if the page is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vecraft import commands
from vecraft.cli import add_serve_flags
from vecraft.commands.options import server_options
from vecraft.commands.running import topic_parser

PAGE = Path(__file__).resolve().parent.parent / "docs/CLI.md"

_HEAD = """# The command line

<!-- Written by `make docs` from the parsers; edit those. -->

`vecraft` without a command serves, with the flags of the `qdrant` binary. The others ask a server over REST,
except those that need none and have no `--url`. `vecraft COMMAND --help` shows what stands here.

Which server: `--url` or `VECRAFT_URL`; its key: `VECRAFT_API_KEY` or `--api-key-file`. Tables are for people;
`--json` prints one JSON document for scripts. Progress bars appear on a terminal only, and colours do, too,
unless `NO_COLOR` is set.

| exit status | means |
|---|---|
| 0 | done |
| 1 | not done: the server refused, or something is missing; one line on standard error says what |
| 2 | the command line is wrong |
| 3 | no server answers at the URL |
| 130 | interrupted (SIGINT) |

`doctor` and `bench` have their own, told below; those of `serve` are in [CLUSTER.md](CLUSTER.md).
"""


_EXAMPLES = ("vecraft ", "bash: ")  # how a paragraph of them begins


def page() -> str:
    serve = argparse.ArgumentParser(prog="vecraft [serve]")
    add_serve_flags(serve)
    parts = [_HEAD, "## serve\n", "Run a node.\n", *_arguments(serve, shared=frozenset())]
    parts += ["## Options of every command that asks a server\n", *_table(_shown(server_options()))]
    shared = frozenset(map(_name, _shown(server_options())))
    for name in commands.TOPICS:
        parts += _topic(topic_parser(name), shared)
    return "\n".join(parts)


def _topic(parser: argparse.ArgumentParser, shared: frozenset[str]) -> Iterator[str]:
    yield f"## {parser.prog.removeprefix('vecraft ')}\n"
    for paragraph in (parser.description or "").strip().split("\n\n"):
        yield f"```\n{paragraph}\n```\n" if paragraph.startswith(_EXAMPLES) else f"{paragraph}\n"
    for leaf, summary in _leaves(parser, ""):
        if leaf is not parser:
            yield f"### `{leaf.prog}`\n"
            yield f"{_sentence(summary)}\n"
        yield from _arguments(leaf, shared)


def _leaves(parser: argparse.ArgumentParser, summary: str) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """The commands that do something, and what their parents' help says of them."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield parser, summary
    for action in nested:
        summaries = {each.dest: each.help or "" for each in action._choices_actions}
        for name, each in action.choices.items():
            yield from _leaves(each, summaries.get(name, ""))


def _arguments(parser: argparse.ArgumentParser, shared: frozenset[str]) -> Iterator[str]:
    own = [action for action in _shown(parser) if _name(action) not in shared]
    if own:
        yield from _table(own)


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]


def _table(actions: Iterable[argparse.Action]) -> Iterator[str]:
    rows = [f"| {_name(action)} | {_cell(action)} |" for action in actions]
    yield "\n".join(["| | |", "|---|---|", *rows, ""])


def _name(action: argparse.Action) -> str:
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else None)
    if not action.option_strings:
        name = value or action.dest
        return f"`{f'[{name}]' if action.nargs == '?' else name}`".replace("|", "\\|")
    takes = action.nargs != 0
    shown = f" {value or action.dest.upper()}" if takes else ""
    return ", ".join(f"`{option}{shown}`" for option in action.option_strings).replace("|", "\\|")


def _cell(action: argparse.Action) -> str:
    return ((action.help or "") % vars(action)).replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def main(argv: list[str]) -> int:
    wanted = page()
    if "--check" not in argv:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE} is stale; run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
