"""What each level of access allows (reference 5.2), as a table."""

from __future__ import annotations

import pytest

from protos.errors import Forbidden
from router.auth.access import FULL, NOBODY, Access, CollectionAccess, Everywhere, Level, Match
from router.auth.needs import Need

TENANT = (Match("org", "acme"),)


def only(level: Level, *, bound: bool = False) -> Access:
    return Access(None, {"c": CollectionAccess(level, TENANT if bound else None)})


ACCESSES = {
    "manage": FULL,
    "global r": Access(Everywhere.READ),
    "r": only(Level.READ),
    "prw": only(Level.POINTS),
    "rw": only(Level.WRITE),
    "tenant": only(Level.WRITE, bound=True),
    "nobody": NOBODY,
}
GLOBAL, GLOBAL_MANAGE = "Global access is required", "Global manage access is required"
ANY, WRITE = "Access to collection c is required", "Write access to collection c is required"
POINTS, MANAGE = (
    "Only points access is allowed for collection c",
    "Manage access for this operation is required",
)
OK = None

TABLE: dict[Need, tuple[str | None, ...]] = {  # in the order of ACCESSES
    Need.PUBLIC: (OK, OK, OK, OK, OK, OK, OK),
    Need.KNOWN: (OK, OK, OK, OK, OK, OK, OK),
    Need.GLOBAL_READ: (OK, OK, GLOBAL, GLOBAL, GLOBAL, GLOBAL, GLOBAL),
    Need.GLOBAL_WRITE: (OK, GLOBAL_MANAGE, GLOBAL, GLOBAL, GLOBAL, GLOBAL, GLOBAL),
    Need.GLOBAL_MANAGE: (OK, GLOBAL_MANAGE, GLOBAL, GLOBAL, GLOBAL, GLOBAL, GLOBAL),
    Need.READ_COLLECTION: (OK, OK, OK, OK, OK, OK, ANY),
    Need.READ_EXTRAS_OF_COLLECTION: (OK, OK, OK, POINTS, OK, POINTS, ANY),
    Need.WRITE_POINTS_OF_COLLECTION: (OK, GLOBAL_MANAGE, WRITE, OK, OK, OK, ANY),
    Need.WRITE_EXTRAS_OF_COLLECTION: (OK, GLOBAL_MANAGE, WRITE, POINTS, OK, POINTS, ANY),
    Need.MANAGE_COLLECTION: (OK, GLOBAL_MANAGE, MANAGE, MANAGE, MANAGE, MANAGE, ANY),
}


def test_the_table_speaks_of_every_need() -> None:
    assert set(TABLE) == set(Need)


@pytest.mark.parametrize("need", list(Need))
def test_each_need_is_met_by_the_accesses_that_the_reference_names(need: Need) -> None:
    for (name, access), expected in zip(ACCESSES.items(), TABLE[need], strict=True):
        try:
            access.permit(need, "c")
            refused = None
        except Forbidden as error:
            refused = error.message
        assert refused == expected, name


def test_a_collection_that_a_token_does_not_name_is_out_of_its_reach() -> None:
    access = only(Level.WRITE)
    with pytest.raises(Forbidden, match="Access to collection d is required"):
        access.permit(Need.READ_COLLECTION, "d")
    assert access.sees("c")
    assert not access.sees("d")


def test_the_tenant_is_that_of_the_collection() -> None:
    access = only(Level.READ, bound=True)
    assert access.tenant("c") == TENANT
    assert access.tenant("d") is None
    assert FULL.tenant("c") is None
