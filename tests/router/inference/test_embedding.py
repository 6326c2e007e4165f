"""Objects are found in requests, embedded once each by the model they name, and replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from protos.errors import BadInput, InvalidField, MalformedBody, ServiceError
from protos.filters import Filter, HasId
from router.inference.embedding import Inference
from router.inference.objects import InferenceObject, ObjectKind, inference_object
from router.inference.replacing import fill_rows, objects_in, objects_of_rows, replaced
from router.queries.requests import NearestPoint, NearestVector, QueryRequest
from router.vectors import SparseValues, VectorRows, VectorValues


def text(value: str, model: str = "Qdrant/bm25", **options: Any) -> InferenceObject:
    return inference_object(ObjectKind.TEXT, value, model, options, "at")


class Letters:
    """A model of this process: one index per letter."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], bool]] = []

    def embed(
        self, text: str, options: Mapping[str, Any], *, searching: bool
    ) -> tuple[list[int], list[float]]:
        if "wrong" in options:
            raise ValueError("of no use")
        self.asked.append((text, dict(options), searching))
        return sorted(map(ord, set(text))), [1.0] * len(set(text))


class Lengths:
    """A remote model."""

    def __init__(self) -> None:
        self.asked: list[tuple[InferenceObject, ...]] = []

    async def embed(self, objects: Sequence[InferenceObject], *, searching: bool) -> list[VectorValues]:
        self.asked.append(tuple(objects))
        return [[float(len(each.data)), float(searching)] for each in objects]

    async def close(self) -> None: ...


async def test_equal_objects_are_embedded_once_and_by_the_model_they_name() -> None:
    letters, lengths = Letters(), Lengths()
    inference = Inference({"qdrant/bm25": letters}, lengths)
    objects = [text("ab"), text("xyz", "other"), text("ab"), text("ab", k=1), text("xyz", "other")]
    found = await inference.embed(objects, searching=True)
    assert letters.asked == [("ab", {}, True), ("ab", {"k": 1}, True)]
    assert lengths.asked == [(objects[1],)]
    assert found == {
        objects[0]: SparseValues([97, 98], [1.0, 1.0]),
        objects[3]: SparseValues([97, 98], [1.0, 1.0]),
        objects[1]: [5.0, 1.0],
    }


async def test_long_texts_are_embedded_too() -> None:
    found = await Inference({"bm25": Letters()}).embed([text("ab" * 4096, "BM25")], searching=False)
    assert list(found.values()) == [SparseValues([97, 98], [1.0, 1.0])]


@pytest.mark.parametrize(
    ("found", "error", "expected"),
    [
        (text("x", "elsewhere"), ServiceError, "InferenceService URL not configured"),
        (text("x", wrong=1), BadInput, "Wrong input: Invalid BM25 config: of no use"),
        (
            inference_object(ObjectKind.IMAGE, "http://x", "Qdrant/Bm25", None, "at"),
            BadInput,
            "Only text input is supported for Qdrant/Bm25.",
        ),
    ],
)
async def test_what_cannot_be_embedded_is_told(
    found: InferenceObject, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error) as told:
        await Inference({"qdrant/bm25": Letters()}).embed([found], searching=True)
    assert expected in str(told.value)


def test_options_in_another_order_are_the_same() -> None:
    assert text("x", a=1, b=2) == text("x", b=2, a=1)
    assert text("x", a=1) != text("x", a=True), "to Python they are equal"


@pytest.mark.parametrize(
    ("kind", "data", "model", "options", "error"),
    [
        (ObjectKind.TEXT, "x", "", None, InvalidField),
        (ObjectKind.TEXT, 5, "m", None, MalformedBody),
        (ObjectKind.OBJECT, 5, 7, None, MalformedBody),
        (ObjectKind.OBJECT, 5, "m", [], MalformedBody),
    ],
)
def test_wrong_objects_are_refused(
    kind: ObjectKind, data: object, model: object, options: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        inference_object(kind, data, model, options, "at")


# --- replacing -------------------------------------------------------------------------------------------


class Tree(Struct, frozen=True):
    """As queries with stages are."""

    query: NearestVector | NearestPoint | None = None
    stages: tuple[Tree, ...] = ()
    pairs: tuple[tuple[NearestVector, NearestVector], ...] = ()
    filter: Filter | None = None


def test_objects_are_found_at_any_depth_and_replaced() -> None:
    a, b, c = text("a"), text("b"), text("c")
    tree = Tree(
        NearestVector(a),
        (Tree(NearestPoint(1)), Tree(None, (Tree(NearestVector(b)),))),
        ((NearestVector(c), NearestVector([0.5, 1.0])),),
        Filter(must=(HasId((1,)),)),
    )
    assert list(objects_in(tree)) == [a, b, c]
    vectors: dict[InferenceObject, VectorValues] = {a: [1.0], b: [2.0], c: [3.0]}
    assert replaced(tree, vectors) == Tree(
        NearestVector([1.0]),
        (Tree(NearestPoint(1)), Tree(None, (Tree(NearestVector([2.0])),))),
        ((NearestVector([3.0]), NearestVector([0.5, 1.0])),),
        Filter(must=(HasId((1,)),)),
    )


def test_a_request_without_objects_stays_itself() -> None:
    for vector in ([0.5], [[0.5]], np.ones(3, np.float32), SparseValues([1], [1.0])):
        request = QueryRequest(NearestVector(vector))
        assert list(objects_in(request)) == []
        assert replaced(request, {}) is request


def test_rows_are_filled_where_objects_stood() -> None:
    rows = VectorRows()
    for place, value in enumerate(([1.0], text("a"), [3.0], text("b"))):
        rows.add(place * 2, value)
    drafts = {"v": rows}
    assert list(objects_of_rows(drafts)) == [text("a"), text("b")]
    fill_rows(drafts, {text("a"): [2.0], text("b"): [4.0]})
    assert (rows.rows, rows.values, rows.objects) == ([0, 2, 4, 6], [[1.0], [2.0], [3.0], [4.0]], {})
