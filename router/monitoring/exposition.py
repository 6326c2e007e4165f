"""Metric families written by hand: the library puts ``_total`` behind the name of a counter."""

from __future__ import annotations

from collections.abc import Mapping

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def family(prefix: str, name: str, kind: str, text: str, samples: Mapping[str, float]) -> list[str]:
    """The lines of one family; ``samples`` by their ``labels``."""
    name = prefix + name
    shown = [f"{name}{labels} {float(value)}" for labels, value in samples.items()]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *shown]


def labels(**values: str) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in values.items()) + "}"


def joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
