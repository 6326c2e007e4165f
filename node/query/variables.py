"""What formulas read of payloads: numbers, geo points and datetimes at paths, or defaults for what is absent.

A value that is there and of another type is an error, default or not (reference 9.11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from node.bits import Slots
from node.filter import geo
from node.query.retrieve import stored_records
from protos.datetimes import parse_datetime
from protos.errors import BadInput
from protos.filters import GeoPoint
from protos.formulas import PayloadDefault
from protos.json_path import WILDCARD, JsonPath, parse_path, values_at

if TYPE_CHECKING:
    from node.query.view_port import View

_MICROS = 1_000_000
_ABSENT = object()

_decode = msgspec.json.Decoder(dict).decode


class Variables:
    """Of candidates under one view; each payload is read once, and only if it is needed.

    Methods take places among ``slots`` and return a float64 for each.
    """

    def __init__(self, view: View, slots: Slots, defaults: Mapping[str, PayloadDefault]) -> None:
        self._view, self._slots, self._defaults = view, slots, defaults
        self._payloads: dict[int, dict[str, Any]] = {}

    def numbers(self, path: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Raises: BadInput."""
        return self._read(path, rows, _number, "number")

    def seconds(self, path: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Since the epoch. Raises: BadInput."""
        return self._read(path, rows, _seconds, "datetime")

    def distances(self, path: str, origin: GeoPoint, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """In metres. Raises: BadInput."""

        def distance(value: Any) -> float | None:
            point = _geo_point(value)
            return None if point is None else geo.distance_m(origin.lon, origin.lat, *point)

        return self._read(path, rows, distance, "geo point")

    def _read(
        self, path: str, rows: npt.NDArray[np.int64], convert: Callable[[Any], float | None], kind: str
    ) -> npt.NDArray[np.float64]:
        self._fetch(rows)
        steps = parse_path(path)
        default = self._defaults.get(path, _ABSENT)
        found = np.empty(len(rows))
        for place, row in enumerate(rows.tolist()):
            value = _value_at(self._payloads[row], steps)
            if value is _ABSENT:
                value = default
            if value is _ABSENT:
                raise _unusable(kind, path, "No value found in a payload nor defaults")
            converted = convert(value)
            if converted is None:
                raise _unusable(kind, path, f"Value is not a {kind}")
            found[place] = converted
        return found

    def _fetch(self, rows: npt.NDArray[np.int64]) -> None:
        missing = np.array([row for row in rows.tolist() if row not in self._payloads], dtype=np.int64)
        for row, stored in zip(missing.tolist(), stored_records(self._view, self._slots[missing])):
            self._payloads[row] = _decode(stored.payload)


def _value_at(payload: dict[str, Any], path: JsonPath) -> Any:
    """What stands there, an array of one value being that value, one of none nothing."""
    found: Any = values_at(payload, path)
    if WILDCARD not in path.steps and found:
        (found,) = found
    if not isinstance(found, list):
        return found
    if not found:
        return _ABSENT
    return found[0] if len(found) == 1 else found


def _unusable(kind: str, path: str, error: str) -> BadInput:
    return BadInput(
        f"Expected {kind} value for {path} in the payload and/or in the formula defaults. Error: {error}"
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _seconds(value: Any) -> float | None:
    micros = parse_datetime(value) if isinstance(value, str) else None
    return None if micros is None else micros / _MICROS


def _geo_point(value: Any) -> tuple[float, float] | None:
    return (value.lon, value.lat) if isinstance(value, GeoPoint) else geo.point_of(value)
