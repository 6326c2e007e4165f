"""Graphs of the rows that share a value of a payload field: which are wanted, which there are.

A segment may have them beside the graph of all its rows, or instead of it (``hnsw_config.m`` 0). Lives here:
structs, in jobs and manifests. May not live here: building them (``building.value_build``), searching
(``value_graphs``).
"""

from __future__ import annotations

from msgspec import Struct

from node.index import Encoding, GraphParams
from protos.facets import FacetValue

VALUES_MAX = 1024  # graphs per segment and vector name: of the values with the most rows


class ValueGraphParams(Struct, frozen=True):
    """
    Attributes:
        fields: payload fields whose values get graphs, sorted.
        rows_min: a value of fewer rows gets none: scoring them all is quick.
        share_max: nor does one of a greater share of the rows: the graph of all rows serves it.
    """

    params: GraphParams
    fields: tuple[str, ...]
    rows_min: int
    share_max: float = 1.0


class ValueGroup(Struct, frozen=True):
    """``slots``: those that have ``value`` at ``field``, ascending little-endian uint32."""

    field: str
    value: FacetValue
    slots: bytes


class ValueGraphEntry(Struct, frozen=True):
    """``has_twins``: a file says which rows equal a node and are none."""

    field: str
    value: FacetValue
    has_twins: bool = False


class ValueGraphsEntry(Struct, frozen=True):
    """``graphs``: their positions name their files. They share one ``encoding``. ``wanted``: what was asked
    for, kept although no value may have had enough rows."""

    wanted: ValueGraphParams
    encoding: Encoding
    graphs: tuple[ValueGraphEntry, ...] = ()
