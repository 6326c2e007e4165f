"""Ordering by a payload key: which indexes allow it (reference 9.2, 11)."""

from __future__ import annotations

from collections.abc import Mapping

from protos.collections import IntegerIndexParams, PayloadSchema, PayloadSchemaType
from protos.errors import BadInput

_ORDERED = (PayloadSchemaType.INTEGER, PayloadSchemaType.FLOAT, PayloadSchemaType.DATETIME)


def require_range_index(schema: Mapping[str, PayloadSchema], key: str) -> PayloadSchemaType:
    """The type of the index that orders by ``key``. Raises: BadInput if none does."""
    index = schema.get(key)
    if index is not None and index.data_type in _ORDERED:
        params = index.effective
        if not (isinstance(params, IntegerIndexParams) and params.range is False):
            return index.data_type
    raise BadInput(
        f"No range index for `order_by` key: `{key}`. "
        "Please create an integer, float or datetime index to use `order_by`"
    )
