"""What a caller may do, and whether that is enough for an operation (reference 5.2). Pure.

Invariant: whatever ``Access.permit`` lets pass of a collection is, for a caller bound to a tenant, restricted
to that tenant's points by ``router.tenants``; what cannot be restricted so (extras) is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from msgspec import Struct

from protos.errors import Forbidden
from protos.filters import Condition, FieldCondition, Filter, MatchValue
from router.auth.needs import Need


class Everywhere(enum.Enum):
    """Access to all there is, not by collections."""

    READ = "r"
    MANAGE = "m"


class Level(enum.Enum):
    """Access to one collection. POINTS: reading and writing points, no extras."""

    READ = "r"
    WRITE = "rw"
    POINTS = "prw"


class AuthKind(enum.Enum):
    """How a caller showed who it is; texts as in the audit log (reference 5.4)."""

    NONE = "None"
    API_KEY = "ApiKey"
    JWT = "Jwt"


class Match(Struct, frozen=True):
    """A payload key and the value it has to have."""

    key: str
    value: str | int | bool


Tenant = tuple[Match, ...]  # all of them hold of a tenant's points; at least one


class ValueExists(Struct, frozen=True):
    """The token is good while a point of the collection matches all of ``matches``."""

    collection: str
    matches: Tenant


class CollectionAccess(Struct, frozen=True):
    level: Level
    tenant: Tenant | None = None


class Access(Struct, frozen=True):
    """``everywhere`` None: only what ``collections`` (by name, as requests name them) say.

    ``subject``: for the audit log. ``inference_token``: sent to a remote inference service in its caller's
    name. ``key_ids``: the ids by which the credential can be revoked. ``expires_s``: in unix seconds.
    """

    everywhere: Everywhere | None
    collections: Mapping[str, CollectionAccess] = {}
    kind: AuthKind = AuthKind.NONE
    subject: str | None = None
    inference_token: str | None = None
    key_ids: frozenset[str] = frozenset()
    value_exists: ValueExists | None = None
    expires_s: int | None = None

    def permit(self, need: Need, collection: str | None = None) -> None:
        """Raises: Forbidden. ``collection``: as the request names it, of a need that is about one."""
        if self.everywhere is Everywhere.MANAGE or need is Need.PUBLIC or need is Need.KNOWN:
            return
        if self.everywhere is Everywhere.READ:
            if need not in _READS:
                raise Forbidden("Global manage access is required")
            return
        if not need.of_collection:
            raise Forbidden("Global access is required")
        assert collection is not None
        self._permit_collection(need, collection)

    def _permit_collection(self, need: Need, collection: str) -> None:
        given = self.collections.get(collection)
        if given is None:
            raise Forbidden(f"Access to collection {collection} is required")
        if need is Need.MANAGE_COLLECTION:
            raise Forbidden("Manage access for this operation is required")
        if need.writes and given.level is Level.READ:
            raise Forbidden(f"Write access to collection {collection} is required")
        if need.extras and (given.level is Level.POINTS or given.tenant is not None):
            raise Forbidden(f"Only points access is allowed for collection {collection}")

    def sees(self, collection: str) -> bool:
        """Is the collection shown in listings?"""
        return self.everywhere is not None or collection in self.collections

    def tenant(self, collection: str) -> Tenant | None:
        """Whose points are all that there is, for this caller."""
        given = None if self.everywhere is not None else self.collections.get(collection)
        return None if given is None else given.tenant


_READS = frozenset((Need.GLOBAL_READ, Need.READ_COLLECTION, Need.READ_EXTRAS_OF_COLLECTION))

FULL = Access(Everywhere.MANAGE)  # of every request where no key is configured
NOBODY = Access(None)  # of requests that need nothing


def filter_of(matches: Tenant) -> Filter:
    """The points of which all of ``matches`` hold."""
    conditions: tuple[Condition, ...] = tuple(
        FieldCondition(match.key, (MatchValue(match.value),)) for match in matches
    )
    return Filter(must=conditions)
