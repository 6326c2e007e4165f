"""Which term each entry of a log belongs to, and where two logs part.

Lives here: the list of (term, first seq). May not live here: entries.

Invariants: terms and first seqs strictly ascend; the first pair covers the oldest entry that the list speaks
of. An empty log is ``((0, -1),)``: the position before the first entry, seq -1, has term 0.

That two logs agree up to the end of their last common term rests on R3: a primary writes an entry of its own
(a Noop) first, and a (term, seq) is never given twice.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

EMPTY_SEQ = -1

Starts = tuple[tuple[int, int], ...]


class TermList(Struct, frozen=True):
    """(term, first seq) pairs, oldest first."""

    starts: Starts = ((0, EMPTY_SEQ),)

    @property
    def last_term(self) -> int:
        return self.starts[-1][0]

    def term_at(self, seq: int) -> int | None:
        """The term of the entry at ``seq``; None if that is before what the list speaks of."""
        for term, first in reversed(self.starts):
            if seq >= first:
                return term
        return None

    def extended(self, term: int, seq: int) -> TermList:
        """With an entry appended at ``seq``."""
        if term == self.last_term:
            return self
        assert term > self.last_term, f"term {term} after term {self.last_term}"
        return replace(self, starts=(*self.starts, (term, seq)))

    def cut(self, after: int) -> TermList:
        """Without the entries after ``after``."""
        return replace(self, starts=tuple(pair for pair in self.starts if pair[1] <= after))

    def trimmed(self, before: int) -> TermList:
        """Without terms that ended before ``before``."""
        starts = self.starts
        while len(starts) > 1 and starts[1][1] <= before:
            starts = starts[1:]
        return replace(self, starts=starts)

    def common(self, last_seq: int, other: Starts) -> int | None:
        """The last entry of this log, which ends at ``last_seq``, that the log behind ``other`` holds too.

        ``other`` is taken as going on for ever in its last term: the primary of that term may have appended
        meanwhile. None: they share nothing that both lists speak of.
        """
        ends = _ends(other, None)
        mine = _ends(self.starts, last_seq)
        for term, first in reversed(self.starts):
            theirs = ends.get(term)
            own = mine[term]
            assert own is not None
            if theirs is None or theirs[0] != first or own[1] is None:
                continue
            return own[1] if theirs[1] is None else min(own[1], theirs[1])
        return None


def _ends(starts: Starts, last_seq: int | None) -> dict[int, tuple[int, int | None]]:
    """Term to (first seq, last seq); None: open."""
    lasts: list[int | None] = [first - 1 for _, first in starts[1:]]
    lasts.append(last_seq)
    return {term: (first, last) for (term, first), last in zip(starts, lasts)}
