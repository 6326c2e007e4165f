"""Constraints on reads and writes that hold whatever protocol a request came by (reference 8, 9).

Lives here: the texts of what is wrong with a request that has the right shape. ``path`` is where the value
stands in the request. May not live here: shapes (``router.rest.bodies``, ``router.grpc``), and what
depends on the collection (``router.queries``, ``router.points``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from protos.diversity import CANDIDATES_MAX, DIVERSITY_DEFAULT
from protos.errors import BadInput, BadRequest, InvalidField
from protos.fusion import Dbsf, Rrf
from protos.idf import Weighing
from protos.ids import PointId
from protos.shard import OrderBy, QuantizationSearchParams, SearchParams
from protos.stages import DEPTH_MAX
from protos.vectors import FLOAT32_MAX
from router.inference.objects import InferenceObject
from router.queries.requests import (
    WINDOW_MAX,
    DiverseNearest,
    Example,
    Feedback,
    Query,
    Recommend,
    Strategy,
)
from router.vectors import SparseValues, VectorValues

LIMIT_DEFAULT = 10
EMPTY_VECTOR = "dense vector must not be empty"
MULTIVECTOR_MAX = 1_048_576  # numbers in one multivector must be fewer
NOTHING_TO_UPDATE = "must specify points to update"
NO_VECTORS_TO_UPDATE = "must specify vectors to update for point"
NO_VECTORS_TO_DELETE = "must specify vector names to delete"


def at_least_one(value: int, path: str) -> int:
    """Raises: InvalidField for 0."""
    return at_least(1, value, 1, path)


def at_least(minimum: int, value: int | None, default: int, path: str) -> int:
    """Raises: InvalidField."""
    if value is None:
        return default
    if value < minimum:
        raise InvalidField(path, f"value {value} invalid, must be {minimum} or larger")
    return value


def limit_of(value: int | None, path: str) -> int:
    """Raises: InvalidField for 0."""
    return at_least(1, value, LIMIT_DEFAULT, path)


def check_stages(query: Query | None, *, prefetches: bool, score_threshold: bool) -> None:
    """Combinations that cannot be right (reference 9.4). Raises: BadRequest."""
    if query is None and prefetches:
        raise BadRequest(
            "A query is needed to merge the prefetches. Can't have prefetches without defining a query."
        )
    if query is None and score_threshold:
        raise BadRequest(
            "A query is needed to use the score_threshold. "
            "Can't have score_threshold without defining a query."
        )
    if isinstance(query, OrderBy) and score_threshold:
        raise BadRequest("Can't use score_threshold with an order_by query.")


def check_fusion(by: Rrf | Dbsf, path: str, *, using: bool, prefetches: int) -> None:
    """``path``: where the parameters of reciprocal ranks are. Raises: BadRequest, BadInput, InvalidField."""
    if using:
        raise BadRequest("Fusion queries cannot be combined with the 'using' field.")
    if not prefetches:
        raise BadInput("cannot apply Fusion without prefetches")
    if isinstance(by, Dbsf):
        return
    at_least_one(by.k, f"{path}.k")
    if by.weights is not None and len(by.weights) != prefetches:
        raise BadInput(
            f"Number of weights in RRF should match number of pre-fetches: "
            f"got {len(by.weights)}, expected {prefetches}"
        )


def diverse_nearest(
    nearest: Example, path: str, *, diversity: float | None, candidates: int | None
) -> DiverseNearest:
    """Raises: InvalidField."""
    chosen = DIVERSITY_DEFAULT if diversity is None else diversity
    if not 0 <= chosen <= 1:
        raise InvalidField(f"{path}.diversity", f"value {chosen} invalid, must be from 0.0 to 1.0")
    if candidates is not None and candidates > CANDIDATES_MAX:
        text = f"value {candidates} invalid, must be from 0 to {CANDIDATES_MAX}"
        raise InvalidField(f"{path}.candidates_limit", text)
    return DiverseNearest(nearest, chosen, candidates)


def check_depth(depth: int) -> None:
    """``depth``: prefetches above. Raises: BadRequest."""
    if depth > DEPTH_MAX:
        raise BadRequest(f"prefetches may be nested {DEPTH_MAX} deep, more were found")


def check_formula(*, prefetches: bool) -> None:
    """Raises: BadInput."""
    if not prefetches:
        raise BadInput("cannot apply Formula without prefetches")


def check_recommend(query: Recommend, path: str) -> None:
    """Raises: InvalidField, BadRequest (reference 9.6)."""
    if not query.positive and not query.negative:
        raise InvalidField(path, "At least one positive or negative vector/id must be provided")
    if query.strategy is Strategy.AVERAGE_VECTOR and not query.positive:
        raise BadRequest("Positive vectors should not be empty with `average` strategy")


def check_legacy_recommend(query: Recommend) -> None:
    """What the endpoints of old clients say instead. Raises: BadRequest."""
    if query.strategy is Strategy.AVERAGE_VECTOR and not query.positive:
        raise BadRequest("At least one positive vector ID required with this strategy")
    if not query.positive and not query.negative:
        raise BadRequest("At least one positive or negative vector ID required with this strategy")


def check_legacy_discover(*, target: bool, context: bool) -> None:
    """Raises: BadRequest (reference 9.7)."""
    if not target and not context:
        raise BadRequest("A target, context pairs or both are required")


def check_feedback(query: Feedback, path: str) -> None:
    """Raises: InvalidField (reference 9.8)."""
    if not query.examples:
        raise InvalidField(path, "feedback elements must be non-empty")
    if not query.b >= 0:
        raise InvalidField(
            f"{path}.strategy.naive.b", f"value {float(query.b)} invalid, must be 0.0 or larger"
        )


def check_search_params(
    path: str, *, hnsw_ef: int | None, oversampling: float | None, max_selectivity: float | None
) -> None:
    """Parameters that change nothing here must still be right (reference 9.15). Raises: InvalidField."""
    if hnsw_ef is not None:
        at_least_one(hnsw_ef, f"{path}.hnsw_ef")
    if oversampling is not None and not 1 <= oversampling < math.inf:
        text = f"value {oversampling} invalid, must be 1.0 or larger"
        raise InvalidField(f"{path}.quantization.oversampling", text)
    if max_selectivity is not None and not 0 <= max_selectivity <= 1:
        raise InvalidField(
            f"{path}.acorn.max_selectivity", f"value {max_selectivity} invalid, must be from 0.0 to 1.0"
        )


def search_params(
    *,
    hnsw_ef: int | None,
    exact: bool,
    indexed_only: bool,
    idf: Weighing | None = None,
    quantization: QuantizationSearchParams | None = None,
) -> SearchParams:
    ef = None if hnsw_ef is None else min(hnsw_ef, WINDOW_MAX)
    return SearchParams(ef, exact, indexed_only, quantization, idf)


def threshold_of(value: float | None) -> float | None:
    """Scores are float32, so a threshold beyond their range means the end of the range."""
    return None if value is None else max(-FLOAT32_MAX, min(value, FLOAT32_MAX))


def check_page(offset: PointId | None, order_by: OrderBy | None) -> None:
    """Raises: BadInput: pages by value have no ids to start from."""
    if offset is not None and order_by is not None:
        raise BadInput(
            "Cannot use an `offset` when using `order_by`. "
            "The alternative for paging is to use `order_by.start_from` and a filter to exclude ids seen"
        )


# --- vectors ---------------------------------------------------------------------------------------


def check_vector(value: VectorValues | InferenceObject, path: str) -> None:
    """What holds of a vector of any collection (reference 12, 18.5). Raises: InvalidField."""
    if isinstance(value, InferenceObject):
        return
    if isinstance(value, SparseValues):
        _check_sparse(value, path)
    elif not len(value):
        raise InvalidField(path, EMPTY_VECTOR)
    elif isinstance(value[0], list):
        # Numbers among the lists are left to the packing of vectors, which refuses them.
        check_multivector([len(row) for row in value if isinstance(row, list)], path)


def _check_sparse(value: SparseValues, path: str) -> None:
    if len(value.indices) != len(value.values):
        text = "Validation error: must be the same length as indices [{}]"
        raise InvalidField(f"{path}.values", text)
    if len(set(value.indices)) != len(value.indices):
        raise InvalidField(f"{path}.indices", "Validation error: must be unique [{}]")


def check_multivector(lengths: Sequence[int], path: str) -> None:
    """``lengths``: of its sub-vectors. Raises: InvalidField."""
    total = sum(lengths)
    if not lengths:
        raise InvalidField(f"{path}.data", "multi vector must not be empty")
    if 0 in lengths:
        raise InvalidField(f"{path}.data", "all vectors must be non-empty")
    if total >= MULTIVECTOR_MAX:
        text = f"Total size of all vectors ({total}) must be less than {MULTIVECTOR_MAX}"
        raise InvalidField(f"{path}.data", text)
    for length in lengths:
        if length != lengths[0]:
            text = f"all vectors must have the same dimension, found vector with dimension {length}"
            raise InvalidField(f"{path}.data", text)
