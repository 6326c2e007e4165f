"""The one call that an edge makes of each request before it does anything else.

Lives here: the order of the questions: is the caller known, has its token been revoked, is it allowed this,
is the token's condition met, and what of it is put on record.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container
from typing import NamedTuple

from msgspec import Struct

from protos.errors import VecraftError
from router.auth.access import FULL, NOBODY, Access, ValueExists
from router.auth.credentials import Credentials, Headers, Keys
from router.auth.errors import NotAuthenticated, TokenRefused
from router.auth.needs import Need

# Whether a point matches. Raises: NotAuthenticated.
Confirm = Callable[[ValueExists], Awaitable[None]]


class Asked(NamedTuple):
    """A request: what it is to be told of in the audit log. ``operation``: its name; ``api``: its route."""

    operation: str
    api: str
    collection: str | None
    headers: Headers
    remote: Callable[[], str | None]


class Decision(Struct, frozen=True):
    """``error`` None: it may go on."""

    asked: Asked
    access: Access
    error: VecraftError | None = None


Record = Callable[[Decision], None]


class Denials(Struct):
    """Requests that were not let in, so far: of callers who are not known, and of those who may not."""

    unknown: int = 0
    forbidden: int = 0


async def _confirm_nothing(_: ValueExists) -> None:
    raise TokenRefused("value_exists cannot be looked up here")


class Gate:
    """``revoked``: the ids of keys that are no longer good, as this node knows them now. ``record``: takes
    each decision about a request that needs anything; None: there is no audit log. ``denials``: counted."""

    def __init__(
        self,
        keys: Keys,
        *,
        revoked: Callable[[], Container[str]] = lambda: (),
        confirm: Confirm = _confirm_nothing,
        record: Record | None = None,
        denials: Denials | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = Credentials(keys)
        self._revoked, self._confirm, self._record, self._now_s = revoked, confirm, record, now_s
        self._denials = denials or Denials()
        self._idle = self._credentials.open and record is None

    def unasked(self, need: Need) -> Access | None:
        """What anybody may do, where nobody need be known and nothing is put on record; None: ``admit``."""
        if need is Need.PUBLIC:
            return NOBODY
        return FULL if self._idle else None

    async def admit(self, need: Need, asked: Asked) -> Access:
        """What the caller may do. Raises: NotAuthenticated, TokenRefused, Forbidden."""
        unasked = self.unasked(need)
        if unasked is not None:
            return unasked
        access = NOBODY
        try:
            access = self._credentials.access(asked.headers, self._now_s())
            self._check_revoked(access)
            access.permit(need, asked.collection)
            if access.value_exists is not None:
                await self._confirm(access.value_exists)
        except VecraftError as error:
            if isinstance(error, NotAuthenticated):
                self._denials.unknown += 1
            else:
                self._denials.forbidden += 1
            self._note(asked, access, error)
            raise
        self._note(asked, access, None)
        return access

    def _check_revoked(self, access: Access) -> None:
        if access.key_ids:
            revoked = self._revoked()
            if any(key_id in revoked for key_id in access.key_ids):
                raise TokenRefused("RevokedToken")

    def _note(self, asked: Asked, access: Access, error: VecraftError | None) -> None:
        if self._record is not None:
            self._record(Decision(asked, access, error))


OPEN = Gate(Keys())  # lets everybody do everything
