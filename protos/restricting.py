"""Requests of a shard, restricted to the points that match a filter, as if there were no others. Pure.

Whatever is read of a shard for somebody who sees some points alone (a tenant's, those of its own buckets)
comes by here, statistics of sparse vectors included: how rare a word is shows, in scores, how others use it.
"""

from __future__ import annotations

from msgspec.structs import replace

from protos.facets import FacetRequest
from protos.filters import Filter, both
from protos.idf import FrequencyRequest, Weighing
from protos.shard import ScrollRequest, SearchRequest
from protos.stages import Diverse, Listed, Searched, Stage, StagedRequest


def search_within(request: SearchRequest, own: Filter) -> SearchRequest:
    weighing = None if request.weighing is None else weighing_within(request.weighing, own)
    return replace(request, filter=both(request.filter, own), weighing=weighing)


def scroll_within(request: ScrollRequest, own: Filter) -> ScrollRequest:
    return replace(request, filter=both(request.filter, own))


def facet_within(request: FacetRequest, own: Filter) -> FacetRequest:
    return replace(request, filter=both(request.filter, own))


def frequencies_within(request: FrequencyRequest, own: Filter) -> FrequencyRequest:
    return replace(request, weighing=weighing_within(request.weighing, own))


def weighing_within(weighing: Weighing, own: Filter) -> Weighing:
    return Weighing(both(weighing.corpus, own))


def staged_within(request: StagedRequest, own: Filter) -> StagedRequest:
    """With the filter wherever points are found; stages above rank those."""
    return replace(request, stage=_stage(request.stage, own))


def _stage(stage: Stage, own: Filter) -> Stage:
    prefetch = tuple(_stage(each, own) for each in stage.prefetch)
    if isinstance(stage, Searched | Diverse):
        return replace(stage, search=search_within(stage.search, own), prefetch=prefetch)
    if isinstance(stage, Listed):
        return replace(stage, scroll=scroll_within(stage.scroll, own), prefetch=prefetch)
    return replace(stage, prefetch=prefetch)
