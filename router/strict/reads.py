"""What strict mode lets reads ask. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from consensus.state import CollectionState
from protos.collections.strict_mode import StrictModeConfig
from protos.filters import Filter, leaf_count
from protos.formulas import Formula
from protos.shard import ScrollRequest, SearchParams
from router.queries.rating import by_vectors
from router.queries.requests import Prefetch, QueryRequest
from router.strict.filters import (
    check_filter_indexed,
    check_filter_size,
    check_formula_indexed,
    check_group_key,
    demands_tenant,
)
from router.strict.violations import check_limit, violated

Stage = QueryRequest | Prefetch


def check_timeout(timeout_ms: int | None, strict: StrictModeConfig) -> None:
    """Raises: BadRequest."""
    check_limit(None if timeout_ms is None else timeout_ms // 1000, strict.max_timeout, "timeout")


def check_queries(requests: Sequence[QueryRequest], state: CollectionState, strict: StrictModeConfig) -> None:
    """Raises: BadRequest."""
    check_limit(len(requests), strict.search_max_batchsize, "search batch size")
    for request in requests:
        for stage in _stages(request):
            _check_stage(stage, state, strict)


def check_groups(
    request: QueryRequest, state: CollectionState, strict: StrictModeConfig, *, key: str, hits: int
) -> None:
    """``hits``: of all groups together. Raises: BadRequest."""
    check_queries([replace(request, limit=hits)], state, strict)
    if strict.unindexed_filtering_retrieve is False:
        check_group_key(key, state.payload_schema)


def check_scroll(request: ScrollRequest, state: CollectionState, strict: StrictModeConfig) -> None:
    """Raises: BadRequest."""
    check_limit(request.limit, strict.max_query_limit, "limit")
    check_filter(request.filter, state, strict)


def check_filter(filter: Filter | None, state: CollectionState, strict: StrictModeConfig) -> None:
    """Raises: BadRequest."""
    check_filter_size(filter, strict)
    if strict.unindexed_filtering_retrieve is False:
        check_filter_indexed(filter, state.payload_schema)


def cost_of_filter(filter: Filter | None) -> int:
    """What a read takes of its collection's budget."""
    return 1 + (0 if filter is None else leaf_count(filter))


def cost_of_queries(requests: Sequence[QueryRequest]) -> int:
    return sum(cost_of_filter(stage.filter) for request in requests for stage in _stages(request))


def _check_stage(stage: Stage, state: CollectionState, strict: StrictModeConfig) -> None:
    check_limit(stage.limit, strict.max_query_limit, "limit")
    check_filter(stage.filter, state, strict)
    if isinstance(stage.query, Formula) and strict.unindexed_filtering_retrieve is False:
        check_formula_indexed(stage.query.expression, state.payload_schema)
    if by_vectors(stage.query):
        _check_params(stage.params, strict)
        _check_graph(stage, state, strict)


def _check_params(params: SearchParams, strict: StrictModeConfig) -> None:
    if params.exact and strict.search_allow_exact is False:
        raise violated("Exact search disabled!", "Set exact=false.")
    check_limit(params.hnsw_ef, strict.search_max_hnsw_ef, "hnsw_ef")
    if params.quantization is not None:
        check_limit(params.quantization.oversampling, strict.search_max_oversampling, "oversampling")


def _check_graph(stage: Stage, state: CollectionState, strict: StrictModeConfig) -> None:
    """A search without any graph is an exact one."""
    config = state.config
    if strict.search_allow_exact is not False or stage.using not in config.vectors:
        return
    if config.hnsw_of(stage.using).m == 0 and not demands_tenant(stage.filter, state.payload_schema):
        name = f" on '{stage.using}'" if stage.using else ""
        raise violated(
            f"Request is forbidden{name} because global vector indexing is disabled (hnsw_config.m = 0)",
            "Use tenant-specific filter, enable global vector indexing or enable strict mode "
            "`search_allow_exact` option.",
        )


def _stages(request: Stage) -> Iterator[Stage]:
    """The request, and its prefetches to any depth."""
    yield request
    for prefetch in request.prefetch:
        yield from _stages(prefetch)
