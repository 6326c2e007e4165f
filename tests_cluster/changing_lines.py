"""Lines of the product that change files, found in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from tests_cluster.steps import ROOT

CHANGING = {
    *("rename", "unlink", "mkdir", "rmtree", "rmdir", "link", "symlink", "touch", "truncate", "copyfile"),
    *("write_bytes", "write_text", "replace_synced", "remove_synced", "sync_file", "sync_directory"),
    *("write_all", "fsync", "fdatasync", "ftruncate", "pwrite", "sendfile", "posix_fallocate"),
}


@dataclass
class Line:
    """A place in the rooms that changes a file."""

    file: str
    function: str
    what: str
    lines: range

    def __str__(self) -> str:
        return f"{self.file}:{self.lines.start} {self.function}: {self.what}"


class Finder(ast.NodeVisitor):
    """Uses of what changes files, but where it mends a failure: a kill is none."""

    def __init__(self, file: str) -> None:
        self._file, self._functions, self._calls = file, [""], [ast.Call()]
        self.found: list[Line] = []

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Passed over."""

    def visit_Import(self, node: ast.Import) -> None:
        """Passed over."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Passed over."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._in(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._in(node)

    def _in(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        self._calls.append(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [
            one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        if name == "open" and any(mode[:1] in "wxa" and len(mode) < 4 for mode in modes):
            self._note("open", node)
        self.generic_visit(node)
        self._calls.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in CHANGING:
            self._note(node.attr, node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in CHANGING:
            self._note(node.id, node)

    def _note(self, what: str, node: ast.expr) -> None:
        around = self._calls[-1] if len(self._calls) > 1 else node
        lines = range(around.lineno, (around.end_lineno or around.lineno) + 1)
        self.found.append(Line(self._file, self._functions[-1], what, lines))


def changing_lines(rooms: Iterable[str]) -> list[Line]:
    """``rooms``: modules, or packages with a slash at the end."""
    found = []
    for room in rooms:
        place = ROOT / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            finder = Finder(path.relative_to(ROOT).as_posix())
            finder.visit(ast.parse(path.read_text()))
            found += finder.found
    return found
