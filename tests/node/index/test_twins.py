"""Equal rows: one of them is a node, and the others are found beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from node import bits
from node.index.twins import Twins, equal_most, set_apart

K = 5


@st.composite
def crowds(draw: st.DrawFn) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint32], int, int]:
    """Rows of few different vectors, nodes in any order, how many are kept, and how many may be equal."""
    width, dtype = draw(st.integers(1, 5)), draw(st.sampled_from(["<f4", "<f2", "u1"]))
    kinds = np.arange(4 * width).reshape(4, width).astype(dtype)
    matrix = kinds[draw(st.lists(st.integers(0, 3), min_size=1, max_size=40))]
    order = draw(st.permutations(range(len(matrix))))
    nodes = np.array(order[: draw(st.integers(1, len(order)))], dtype=np.uint32)
    return matrix, nodes, draw(st.integers(0, len(nodes))), draw(st.integers(1, 6))


@given(crowds())
def test_what_is_set_apart_equals_its_head_and_no_crowd_is_left(crowd: Any) -> None:
    matrix, nodes, kept, most = crowd
    left, twins = set_apart(matrix, nodes, kept, most)
    np.testing.assert_array_equal(left[:kept], nodes[:kept])
    members = [] if twins is None else twins.members.tolist()
    assert sorted([*left.tolist(), *members]) == sorted(nodes.tolist())
    if twins is not None:
        assert set(twins.heads.tolist()) <= set(left.tolist())
        np.testing.assert_array_equal(matrix[twins.heads], matrix[twins.members])
    for kind in np.unique(matrix[nodes], axis=0):
        equal = [place for place, node in enumerate(nodes) if (matrix[node] == kind).all()]
        stay = [node for node in left if (matrix[node] == kind).all()]
        crowded = len(equal) > most
        assert len(stay) == (max(1, sum(place < kept for place in equal)) if crowded else len(equal))


@given(crowds(), st.data())
def test_an_answer_has_the_best_rows_whichever_are_nodes(crowd: Any, data: st.DataObject) -> None:
    matrix, nodes, kept, most = crowd
    left, twins = set_apart(matrix, nodes, kept, most)
    if twins is None:
        return
    twins = Twins.of(np.frombuffer(twins.to_bytes(), dtype="<u4"))
    worth = data.draw(st.permutations(range(4)))
    value = {kind.tobytes(): float(worth[at]) for at, kind in enumerate(np.unique(matrix, axis=0))}
    scores = np.array([value[row.tobytes()] for row in matrix], dtype=np.float32)
    allowed = sorted(data.draw(st.sets(st.sampled_from(nodes.tolist()), min_size=1)))
    size = bits.bytes_for(len(matrix))
    mask = bits.pack(np.array(allowed), size)
    admitted, count = twins.admitting(mask, len(allowed))
    inside = [node for node in left.tolist() if bits.contains(admitted, np.array([node]))[0]]
    assert count == len(inside)

    for rows, wanted, only in ((left.tolist(), nodes.tolist(), None), (inside, allowed, mask)):
        walked = sorted(rows, key=lambda row: (-scores[row], row))[:K]
        found = np.array([walked], dtype=np.int64), scores[walked][np.newaxis]
        beside = twins.beside(found, K, only)
        best = sorted(wanted, key=lambda row: (-scores[row], row))[:K]
        assert beside[1][0, : len(best)].tolist() == scores[best].tolist()
        shown = [row for row in beside[0][0].tolist() if row >= 0]
        assert len(set(shown)) == len(shown) == min(K, len(wanted))
        assert set(shown) <= set(wanted)


def test_rows_that_only_look_alike_stay_nodes() -> None:
    """Zeros of both signs are equal numbers, but not the same bytes; their scores may differ in a bit."""
    matrix = np.zeros((8, 2), dtype=np.float32)
    matrix[4:] = -0.0
    left, twins = set_apart(matrix, np.arange(8, dtype=np.uint32), 0, 2)
    assert twins is not None
    assert (left.tolist(), twins.heads.tolist()) == ([0, 4], [0, 0, 0, 4, 4, 4])


def test_some_equal_rows_are_left_to_the_links() -> None:
    assert [equal_most(m) for m in (1, 4, 16)] == [1, 2, 8]
