"""Search, scroll, count, facet and retrieve on one immutable view.

Lives here: how a read request becomes slots, scores and records. Functions are synchronous, run in a
worker thread and touch nothing but the view they are given.
May not live here: locks, queues, event loops, clocks; the choice of replica or shard; anything that writes.

Invariants: a read sees exactly one view; a filter never costs results (``limit`` matching points are
returned whenever they exist); records are fetched for returned points only.
"""

from node.query.counters import Counters, count_vectors
from node.query.counting import count
from node.query.faceting import facet
from node.query.frequencies import frequencies
from node.query.matching import matching_slots
from node.query.plain import is_plain, quick_hits
from node.query.retrieve import retrieve
from node.query.scroll import scroll
from node.query.search import Known, search
from node.query.stages import run_stages
from node.query.view_port import View

__all__ = [
    "Counters",
    "Known",
    "View",
    "count",
    "count_vectors",
    "facet",
    "frequencies",
    "is_plain",
    "matching_slots",
    "quick_hits",
    "retrieve",
    "run_stages",
    "scroll",
    "search",
]
