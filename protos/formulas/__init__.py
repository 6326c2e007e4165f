"""Formulas: the tree of expressions (``tree``), JSON (``decoding``), constraints (``rules``).

What an expression is worth for a point is decided in ``node.query.formula``; the words and limits of
reference 9.11 are here.
"""

from protos.formulas import rules
from protos.formulas.decoding import decode_formula
from protos.formulas.rules import EXPRESSION_DEPTH_MAX
from protos.formulas.tree import (
    Applied,
    Constant,
    DatetimeKey,
    Decay,
    DecayKind,
    Expression,
    Formula,
    Function,
    GeoDistance,
    Matches,
    Payload,
    PayloadDefault,
    Power,
    Product,
    Quotient,
    Score,
    Sum,
)

__all__ = [
    "EXPRESSION_DEPTH_MAX",
    "Applied",
    "Constant",
    "DatetimeKey",
    "Decay",
    "DecayKind",
    "Expression",
    "Formula",
    "Function",
    "GeoDistance",
    "Matches",
    "Payload",
    "PayloadDefault",
    "Power",
    "Product",
    "Quotient",
    "Score",
    "Sum",
    "decode_formula",
    "rules",
]
