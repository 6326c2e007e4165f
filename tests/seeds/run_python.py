"""Runs Python snippets in this interpreter and tells, as JSON, what the last statement of each gave.

Each line of standard input is ``{"url": ..., "parts": [source, ...]}`` and is answered by a line with
``{"result": ...}`` or ``{"error": traceback}``. The parts run in one namespace, which has a ``client``
and ``models`` as the documentation presumes. Run by ``test_snippets`` with the interpreter that has the
qdrant-client a snippet was written for, so it imports nothing of ours.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import traceback
import warnings
from enum import Enum
from typing import Any

from qdrant_client import QdrantClient, models


def run(source: str, namespace: dict[str, Any]) -> Any:
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "snippet", "exec"), namespace)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "snippet", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "snippet", "eval"), namespace)


def plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(exclude_none=True))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def run_all(task: dict[str, Any]) -> Any:
    namespace: dict[str, Any] = {"client": QdrantClient(url=task["url"]), "models": models}
    result = None
    for source in task["parts"]:
        result = run(source, namespace)
    return plain(result)


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a snippet prints is no answer
    for line in sys.stdin:
        try:
            answer = {"result": run_all(json.loads(line))}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
