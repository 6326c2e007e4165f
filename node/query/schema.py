"""A collection's dense vectors as a search needs them, read from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from node.index.distances import normalize
from protos.collections import Distance
from protos.errors import vector_name_not_found, wrong_dimension
from protos.shard import FloatArray

if TYPE_CHECKING:
    from node.query.view_port import View


class DenseVector(Struct, frozen=True):
    name: str
    dim: int
    distance: Distance

    @property
    def descending(self) -> bool:
        """Is the larger client score the better one (reference 9.4)?"""
        return self.distance in (Distance.COSINE, Distance.DOT)

    def prepare(self, queries: list[FloatArray]) -> FloatArray:
        """Stack queries to (n, dim) float32, normalised for Cosine. Raises: BadInput on a wrong width."""
        for query in queries:
            if query.shape != (self.dim,):
                raise wrong_dimension(self.dim, query.shape[-1] if query.ndim else 0)
        matrix = queries[0][np.newaxis] if len(queries) == 1 else np.stack(queries)
        matrix = matrix.astype(np.float32, copy=False)
        return normalize(matrix) if self.distance is Distance.COSINE else matrix


def dense_vector(view: View, name: str) -> DenseVector:
    """Raises: BadInput if the collection has no vector of this name."""
    params = view.config.vectors.get(name)
    if params is None:
        raise vector_name_not_found(name)
    return DenseVector(name, params.size, params.distance)


def vector_names(view: View) -> tuple[str, ...]:
    return tuple(view.config.vectors)
