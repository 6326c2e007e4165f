"""No struct is learned while threads run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("protos", "consensus", "node", "router")
DECODES = ("msgspec.json.decode", "msgspec.msgpack.decode")
BUILTINS = {"Any", "bool", "bytes", "dict", "float", "int", "list", "None", "object", "str", "tuple"}

# Threads that decode one struct for the first time, each time another one; with `learn`, or without.
RACE = """
import sys, threading, msgspec
from protos.structs import learn
sys.setswitchinterval(1e-6)
for turn in range(300):
    inner = [msgspec.defstruct(f"I{i}", [(f"f{k}", int) for k in range(10)]) for i in range(30)]
    outer = msgspec.defstruct("O", [(f"g{i}", kind) for i, kind in enumerate(inner)])
    body = msgspec.msgpack.encode({f"g{i}": {f"f{k}": k for k in range(10)} for i in range(30)})
    if "learn" in sys.argv:
        learn(outer)
    start = threading.Barrier(4)
    def decode(): start.wait(); msgspec.msgpack.decode(body, type=outer)
    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def calls_that_learn(source: str) -> Iterator[ast.Call]:
    """Calls of msgspec within functions that name a type which may hold structs."""
    functions = (
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for call in (n for function in functions for n in ast.walk(function) if isinstance(n, ast.Call)):
        name = ast.unparse(call.func)
        if name in DECODES:
            kinds = [keyword.value for keyword in call.keywords if keyword.arg == "type"]
        elif name == "msgspec.convert":
            kinds = call.args[1:2]
        else:
            continue
        if any(isinstance(n, ast.Name) and n.id not in BUILTINS for kind in kinds for n in ast.walk(kind)):
            yield call


def test_what_is_decoded_was_learned_when_its_module_was_imported() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "\nlearn(" not in (source := path.read_text())
        for call in calls_that_learn(source)
    ]
    assert not found, "make a decoder when the module is imported, or `learn` its types"


def test_calls_that_learn_are_found() -> None:
    assert list(calls_that_learn("def f(x):\n    msgspec.json.decode(x, type=Meta)"))
    assert list(calls_that_learn("def f(x, k):\n    msgspec.convert(x, list[k])"))
    assert not list(calls_that_learn("def f(x):\n    msgspec.json.decode(x)"))
    assert not list(calls_that_learn("def f(x):\n    msgspec.json.decode(x, type=dict[str, Any])"))


@pytest.mark.slow
def test_learned_structs_are_decoded_by_many_threads_at_once() -> None:
    def status(*words: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", RACE, *words], cwd=ROOT, check=False, timeout=120
        ).returncode

    assert status("learn") == 0
    assert status() < 0, "msgspec no longer crashes: this room, and the rule, may go"
