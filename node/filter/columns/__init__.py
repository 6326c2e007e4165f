"""Payload indexes: by field, which slots have which values.

Each index is a sorted base, made when the delta grows long, and a delta of what was written since; the
writer's ``Columns`` changes them, a read's ``ColumnsView`` never changes.

Lives here: holding and looking up values, their order, their files.
May not live here: how conditions combine to a filter (``node.filter.evaluate``), payloads' storage.

Invariant: what a column says of a predicate agrees with ``node.filter.check``; where it holds too little
to know, it says which payloads must be checked.
"""

from node.filter.columns.column import Column
from node.filter.columns.columns import Columns, ColumnsView
from node.filter.columns.draft import Draft
from node.filter.columns.files import ColumnsCorrupted, Manifest, verify
from node.filter.columns.merge import needs_rebuild
from node.filter.columns.sizes import Cardinality, IndexMemory

__all__ = [
    "Cardinality",
    "Column",
    "Columns",
    "ColumnsCorrupted",
    "ColumnsView",
    "Draft",
    "IndexMemory",
    "Manifest",
    "needs_rebuild",
    "verify",
]
