"""A caller who is bound to a tenant: all points but the tenant's own are, to them, not there.

Lives here: reads restricted to a tenant's points (``of_tenant``), writes restricted to them (``within``).
Both stand where every read and every write passes: under ``router.scope`` and in ``router.points``.
May not live here: who is bound to which tenant (``router.auth``).

Invariants: whatever is read of a shard for a tenant is asked with the tenant's filter, statistics included;
a write touches none but points that match it, and leaves and makes none that do not. The primary of a shard
judges what is there (``within`` of a change), since only it knows the state that a write meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from protos.errors import Forbidden
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter, HasId, both
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.json_path import flat_values_at, parse_path
from protos.operations import ClearPayload, DeletePayload, OverwritePayload, PointChange, SetPayload, Upsert
from protos.restricting import facet_within, frequencies_within, scroll_within, search_within, staged_within
from protos.shard import Hits, Projection, Record, ScrollRequest, SearchRequest
from protos.stages import StagedRequest
from router.auth.access import Match, Tenant, filter_of
from router.merge import in_order
from router.replicas.readers import ShardReader

# --- reads -------------------------------------------------------------------------------------------------


def of_tenant(reader: ShardReader, tenant: Tenant | None) -> ShardReader:
    """``reader``, of the tenant's points alone. None: of all."""
    return reader if tenant is None else _TenantReader(reader, filter_of(tenant))


class _TenantReader:
    def __init__(self, inner: ShardReader, own: Filter) -> None:
        self._inner, self._own = inner, own

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._inner.search([search_within(request, self._own) for request in requests])

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._inner.query_staged([staged_within(request, self._own) for request in requests])

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._inner.scroll(scroll_within(request, self._own))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        if not ids:
            return []
        wanted = ScrollRequest(len(ids), filter=Filter(must=(HasId(tuple(ids)),)), projection=projection)
        return in_order([await self.scroll(wanted)], ids)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._inner.count(both(filter, self._own), exact=exact)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._inner.facet(facet_within(request, self._own))

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._inner.frequencies([frequencies_within(request, self._own) for request in requests])


# --- writes ------------------------------------------------------------------------------------------------


def within(change: PointChange, tenant: Tenant) -> PointChange:
    """``change``, of the tenant's points alone.

    Raises: Forbidden if points would be made the tenant's that are not, or the other way round.
    """
    match change:
        case Upsert():
            for payload in change.payloads:
                _check_carried(payload, tenant)
        case OverwritePayload():
            _check_carried(change.payload, tenant)
        case SetPayload():
            _check_set(change, tenant)
        case DeletePayload():
            _check_kept(change.paths, tenant)
        case ClearPayload():
            raise Forbidden(f"The payload holds {_shown(tenant[0])}, to which this token is bound")
    return replace(change, within=filter_of(tenant))


def _check_carried(payload: bytes, tenant: Tenant) -> None:
    decoded = msgspec.json.decode(payload)
    for match in tenant:
        if not _carries(decoded, match):
            raise Forbidden(f"This token is bound to points with {_shown(match)} and no other value there")


def _check_set(change: SetPayload, tenant: Tenant) -> None:
    if change.path is not None:
        _check_kept([change.path], tenant)
        return
    given = msgspec.json.decode(change.payload)
    _check_carried(change.payload, tuple(match for match in tenant if _root(match.key) in given))


def _check_kept(paths: Iterable[str], tenant: Tenant) -> None:
    """Whatever lies under the same key of a payload counts, so that no path is judged too kindly."""
    roots = {_root(path) for path in paths}
    for match in tenant:
        if _root(match.key) in roots:
            raise Forbidden(f"This token is bound to points with {_shown(match)}, and cannot change that")


def _carries(payload: dict[str, Any], match: Match) -> bool:
    """Is the value there, and no other? A second one would make the point another tenant's, too."""
    found: Sequence[Any] = flat_values_at(payload, parse_path(match.key))
    return bool(found) and all(type(each) is type(match.value) and each == match.value for each in found)


def _root(path: str) -> str:
    root = parse_path(path).steps[0]
    assert isinstance(root, str)
    return root


def _shown(match: Match) -> str:
    return f"{match.key} = {msgspec.json.encode(match.value).decode()}"
