"""Cut the small WordNet set in ``examples/wordnet`` out of the full one.

Usage: ``python examples/make_cut.py FULL_DIRECTORY [OUTPUT_DIRECTORY]``

The full directory holds ``wordnet.base.i8.npy`` (n, 384) int8, ``wordnet.base.jsonl.gz`` with one
payload per row, and the same two for queries. The cut takes every ``STRIDE``-th row, plus the
nearest rows of each query that is kept, so that searching the cut gives sensible answers. The same
input gives the same output, byte for byte.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

STRIDE = 28
QUERY_STRIDE = 5
NEIGHBOURS = 12
DEMO_QUERIES = ("apricot", "tawny owl", "trade wind")  # the demo searches for these lemmas
FILES_TO_COPY = ("WORDNET-LICENSE.txt",)

Vectors = npt.NDArray[np.float32]


def read_rows(path: Path) -> list[bytes]:
    with gzip.open(path) as lines:
        return lines.read().splitlines(keepends=True)


def unit_rows(codes: npt.NDArray[np.int8]) -> Vectors:
    rows = codes.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def chosen_queries(payloads: list[bytes]) -> list[int]:
    wanted = [f'["{name}"'.encode() for name in DEMO_QUERIES]
    named = {row for row, line in enumerate(payloads) if any(name in line for name in wanted)}
    return sorted(named | set(range(0, len(payloads), QUERY_STRIDE)))


def chosen_rows(base: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    keep = np.zeros(len(base), dtype=bool)
    keep[::STRIDE] = True
    for query in queries:
        keep[np.argsort(-(base @ query), kind="stable")[:NEIGHBOURS]] = True
    return np.flatnonzero(keep)


def write_gzip(path: Path, lines: list[bytes]) -> None:
    """Without a file name and a time in the header, so that equal content gives equal files."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as packed:
        packed.write(b"".join(lines))
    path.write_bytes(buffer.getvalue())


def cut(full: Path, out: Path) -> tuple[int, int]:
    """Write the cut; returns the numbers of rows and of queries."""
    codes = np.load(full / "wordnet.base.i8.npy")
    query_codes = np.load(full / "wordnet.queries.i8.npy")
    payloads, query_payloads = (read_rows(full / f"wordnet.{part}.jsonl.gz") for part in ("base", "queries"))
    queries = chosen_queries(query_payloads)
    rows = chosen_rows(unit_rows(codes), unit_rows(query_codes[queries]))
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "wordnet.base.i8.npy", codes[rows])
    np.save(out / "wordnet.queries.i8.npy", query_codes[queries])
    write_gzip(out / "wordnet.base.jsonl.gz", [payloads[row] for row in rows])
    write_gzip(out / "wordnet.queries.jsonl.gz", [query_payloads[row] for row in queries])
    for name in FILES_TO_COPY:
        (out / name).write_bytes((full / name).read_bytes())
    return len(rows), len(queries)


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "wordnet"
    print("{} rows, {} queries".format(*cut(Path(sys.argv[1]), target)))
