"""Counting matches, exactly or by estimate (reference 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.filter.cardinality import estimate
from node.query.matching import Candidates, context_of
from protos.filters import Filter

if TYPE_CHECKING:
    from node.query.view_port import View

_CLOSE = 0.02  # bounds that are as near to each other, as a share, leave nothing to look at
_SAMPLE = 500  # payloads checked for an estimate: a standard error of about 2 % of the candidates


def count(view: View, filter: Filter | None, *, exact: bool) -> int:
    """How many points match.

    Not exact: what the sizes of index ranges tell, if that is close; else payloads are checked for a sample
    only and the share scaled up.
    """
    if filter is not None and not exact:
        found = estimate(filter, context_of(view))
        if found.most - found.least <= found.expected * _CLOSE:
            return found.expected
    candidates = Candidates(view, filter)
    if candidates.exact:
        return candidates.allowed.count
    if exact or candidates.allowed.count <= _SAMPLE:
        return len(candidates.matching())
    every = candidates.slots()
    # Evenly spaced, so the same view always gives the same estimate.
    sample = every[np.linspace(0, len(every) - 1, _SAMPLE, dtype=np.int64)]
    return round(len(every) * float(candidates.check(sample).mean()))
