"""Vectors as they travel between a router and a shard."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


class SparseVector:
    """``indices`` uint32 (n,), strictly ascending; ``values`` float32 (n,). Compared by content."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("indices", "values")

    def __init__(self, indices: npt.NDArray[np.uint32], values: FloatArray) -> None:
        assert len(indices) == len(values)
        self.indices, self.values = indices, values

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparseVector)
            and np.array_equal(self.indices, other.indices)
            and np.array_equal(self.values, other.values)
        )

    def __repr__(self) -> str:
        return f"SparseVector({self.indices.tolist()}, {self.values.tolist()})"

    def tobytes(self) -> bytes:
        """Equal for equal vectors only."""
        return self.indices.astype("<u4").tobytes() + self.values.astype("<f4").tobytes()


if TYPE_CHECKING:
    AnyVector = FloatArray | SparseVector  # float32 (dim,) dense, (n, dim) multi
else:
    # msgspec takes one type that is not its own, and checks by it what a hook has made.
    class AnyVector(abc.ABC):  # noqa: B024
        """An array or a ``SparseVector``."""

    AnyVector.register(np.ndarray)
    AnyVector.register(SparseVector)

FLOAT32_MAX = float(np.finfo(np.float32).max)


def finite(scores: FloatArray) -> FloatArray:
    """``scores`` that fit into an answer: JSON has no infinities. What is no number is the least of all."""
    if np.isfinite(scores).all():
        return scores
    return np.nan_to_num(scores, nan=-FLOAT32_MAX, posinf=FLOAT32_MAX, neginf=-FLOAT32_MAX)


PointVectors = dict[str, AnyVector]  # by vector name ("" is the unnamed one); absent: has none
