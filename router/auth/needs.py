"""What an operation needs of its caller. Every route and every method names one of these."""

from __future__ import annotations

import enum


class Need(enum.Enum):
    """The levels of reference 5.2. What speaks of a COLLECTION is asked of the one that is named.

    Points: reading or writing them, and reading what a collection is. Extras: what tells of its files and
    its place in the cluster, or changes its schema. Manage: what makes and unmakes collections.
    """

    PUBLIC = "public"
    """Nothing, not even a key."""
    KNOWN = "known"
    """Any valid credential; the answer shows only what the caller may see."""
    GLOBAL_READ = "global_read"
    GLOBAL_WRITE = "global_write"
    GLOBAL_MANAGE = "global_manage"
    READ_COLLECTION = "read_collection"
    READ_EXTRAS_OF_COLLECTION = "read_extras_of_collection"
    WRITE_POINTS_OF_COLLECTION = "write_points_of_collection"
    WRITE_EXTRAS_OF_COLLECTION = "write_extras_of_collection"
    MANAGE_COLLECTION = "manage_collection"

    @property
    def of_collection(self) -> bool:
        return self in _OF_COLLECTION

    @property
    def writes(self) -> bool:
        return self in _WRITES

    @property
    def extras(self) -> bool:
        return self in (Need.READ_EXTRAS_OF_COLLECTION, Need.WRITE_EXTRAS_OF_COLLECTION)


_OF_COLLECTION = frozenset(
    (
        Need.READ_COLLECTION,
        Need.READ_EXTRAS_OF_COLLECTION,
        Need.WRITE_POINTS_OF_COLLECTION,
        Need.WRITE_EXTRAS_OF_COLLECTION,
        Need.MANAGE_COLLECTION,
    )
)
_WRITES = frozenset((Need.WRITE_POINTS_OF_COLLECTION, Need.WRITE_EXTRAS_OF_COLLECTION))
