"""The seam to PySyncObj: which source is trusted, and the two module globals that are replaced.

``install`` must run before any node is made. It checks that the library is the audited one: the overrides
of ``hardened`` reach into private methods, and another release could silently ignore them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pysyncobj.syncobj as library
from pysyncobj.journal import Journal

AUDITED_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"

_stock_create_journal = library.createJournal


class UnknownLibrary(Exception):
    """The installed PySyncObj is not the audited source."""


class MembershipCodec:
    """Replaces pickle in the library: all it still encodes is ``[verb, node id]``.

    Pickle would run whatever a peer sends.
    """

    @staticmethod
    def dumps(request: list[Any]) -> bytes:
        return msgspec.msgpack.encode(request[:2])

    @staticmethod
    def loads(data: bytes) -> list[str]:
        return msgspec.msgpack.decode(data, type=list[str])


def install() -> None:
    """Check the source and put our journal and codec in place. Idempotent. Raises: UnknownLibrary."""
    found = hashlib.sha256(Path(library.__file__).read_bytes()).hexdigest()
    if found != AUDITED_SHA256:
        raise UnknownLibrary(f"PySyncObj's source has SHA-256 {found}, expected {AUDITED_SHA256} (0.3.17)")
    library.createJournal = _create_journal
    library.pickle = MembershipCodec


def _create_journal(journal: Any) -> Any:
    """Let ``conf.journalFile`` be a journal object."""
    return journal if isinstance(journal, Journal) else _stock_create_journal(journal)
