"""Geo points of a column: ordered by the cells of a grid, so that few are looked at, and those exactly.

A cell is a row of latitude and a column of longitude, 2^16 of each (300 m); a condition's box is one range
of cells in each of its rows. Beside the cell stand the coordinates and, rounded to float32, the point on the
unit sphere.

Invariant: what is decided here equals ``node.filter.geo`` in every case. Comparisons are the same operations
on the same float64; distances are first compared as chords, with a margin above all rounding, and within it
by ``geo`` itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Mask, Slots
from node.filter import geo
from node.filter.columns.base import Base, Extras, Spans, merged
from node.filter.columns.delta import Entries
from protos.filters import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius

CELL: Final = np.dtype(np.uint32)
EXTRAS: Final[Extras] = {
    "lon": np.zeros(0, np.float64),
    "lat": np.zeros(0, np.float64),
    **{axis: np.zeros(0, np.float32) for axis in "xyz"},
}
_SIDE: Final = 1 << 16
_ROWS_MAX: Final = 512  # rows searched one by one; of a taller box all columns are taken

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Coordinates = tuple[Floats, Floats]  # longitudes, latitudes


class Box(Struct, frozen=True):
    """Closed, in degrees; ``west`` is not east of ``east``."""

    west: float
    south: float
    east: float
    north: float


class Points(Struct, frozen=True, eq=False):
    """All (n,): ``lon`` and ``lat`` in degrees, ``x``, ``y`` and ``z`` on the unit sphere."""

    lon: Floats
    lat: Floats
    x: Singles
    y: Singles
    z: Singles


class Region(Struct, frozen=True, eq=False):
    """``boxes`` hold all of it; ``contains`` decides each point."""

    boxes: tuple[Box, ...]
    contains: Callable[[Points], Mask]


def points_of(extras: Extras, at: Any = slice(None)) -> Points:
    return Points(*(extras[name][at] for name in EXTRAS))


def hold(value: Any) -> tuple[float, float] | None:
    """Longitude and latitude; None for what is no point of the earth."""
    point = geo.point_of(value)
    if point is None or not (-180 <= point[0] <= 180 and -90 <= point[1] <= 90):
        return None
    return point


def entries(slots: Slots, points: Sequence[tuple[float, float]]) -> Entries:
    lon, lat = np.array(points, dtype=np.float64).reshape(-1, 2).T
    cells = (_row(lat) << 16 | _column(lon)).astype(CELL)
    return Entries(slots, cells, dict(zip(EXTRAS, (lon, lat, *_on_sphere(lon, lat)), strict=True)))


def _row(lat: Any) -> Any:
    return np.clip((lat + 90) * (_SIDE / 180), 0, _SIDE - 1).astype(np.int64)


def _column(lon: Any) -> Any:
    return np.clip((lon + 180) * (_SIDE / 360), 0, _SIDE - 1).astype(np.int64)


def _on_sphere(lon: Floats, lat: Floats) -> tuple[Singles, Singles, Singles]:
    lam, phi = np.radians(lon), np.radians(lat)
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)


def spans_within(base: Base, region: Region) -> Spans:
    """Positions of the entries in cells that the region's boxes touch, ascending and disjoint."""
    spans: list[tuple[int, int]] = []
    for box in region.boxes:
        south, north = _row(np.float64(box.south)), _row(np.float64(box.north))
        west, east = _column(np.float64(box.west)), _column(np.float64(box.east))
        if north - south >= _ROWS_MAX:
            rows, west, east = np.array([south]), 0, _SIDE - 1
            ends = np.array([north])
        else:
            rows = ends = np.arange(south, north + 1)
        starts = np.searchsorted(base.values, (rows << 16 | west).astype(CELL), side="left")
        stops = np.searchsorted(base.values, (ends << 16 | east).astype(CELL), side="right")
        some = np.flatnonzero(starts < stops)
        spans += zip(starts[some].tolist(), stops[some].tolist(), strict=True)
    return merged(sorted(spans))


def region_of(predicate: GeoBoundingBox | GeoRadius | GeoPolygon) -> Region:
    match predicate:
        case GeoBoundingBox():
            return _box_region(predicate)
        case GeoRadius():
            return _circle_region(predicate)
        case GeoPolygon():
            return _polygon_region(predicate)


def _box_region(box: GeoBoundingBox) -> Region:
    left, top = box.top_left.lon, box.top_left.lat
    right, bottom = box.bottom_right.lon, box.bottom_right.lat

    def contains(points: Points) -> Mask:
        lon, lat = points.lon, points.lat
        across = (lon > left) | (lon < right) if left > right else (lon > left) & (lon < right)
        return across & (bottom < lat) & (lat < top)

    if bottom > top:
        return Region((), contains)
    if left > right:
        return Region((Box(-180.0, bottom, right, top), Box(left, bottom, 180.0, top)), contains)
    return Region((Box(left, bottom, right, top),), contains)


def _circle_region(circle: GeoRadius) -> Region:
    inside = geo.in_radius(circle)
    center = _on_sphere(np.array([circle.center.lon]), np.array([circle.center.lat]))
    angle = circle.radius / geo.EARTH_RADIUS_M
    half = math.sin(min(angle, math.pi) / 2)
    square = np.float32(4 * half * half)
    # Twice what rounding to float32 can add: 1.1e-7 to each difference, 4e-7 of the square in summing.
    margin = np.float32(1e-12 + 1e-6 * half + 2e-6 * float(square))

    def contains(points: Points) -> Mask:
        chord = np.zeros(len(points.x), np.float32)
        for axis, own in zip((points.x, points.y, points.z), center, strict=True):
            apart = axis - own
            apart *= apart
            chord += apart
        found: Mask = chord < square
        for at in np.flatnonzero(np.abs(chord - square) <= margin).tolist():
            found[at] = inside(float(points.lon[at]), float(points.lat[at]))
        return found

    return Region(_circle_boxes(circle.center, math.degrees(angle)), contains)


def _circle_boxes(center: GeoPoint, reach: float) -> tuple[Box, ...]:
    """Boxes around everything within ``reach`` degrees, a little wider for rounding."""
    reach = reach * (1 + 1e-9) + 1e-9
    south, north = max(center.lat - reach, -90.0), min(center.lat + reach, 90.0)
    if south == -90.0 or north == 90.0:  # a pole is inside: every longitude is
        return (Box(-180.0, south, 180.0, north),)
    ratio = math.sin(math.radians(reach)) / math.cos(math.radians(center.lat))
    wide = math.degrees(math.asin(min(ratio, 1.0))) * (1 + 1e-9) + 1e-9
    west, east = center.lon - wide, center.lon + wide
    if wide >= 180.0 or ratio >= 1.0:
        return (Box(-180.0, south, 180.0, north),)
    if west < -180.0:
        return (Box(-180.0, south, east, north), Box(west + 360.0, south, 180.0, north))
    if east > 180.0:
        return (Box(-180.0, south, east - 360.0, north), Box(west, south, 180.0, north))
    return (Box(west, south, east, north),)


def _polygon_region(polygon: GeoPolygon) -> Region:
    ring = polygon.exterior
    lons, lats = [point.lon for point in ring], [point.lat for point in ring]

    def contains(points: Points) -> Mask:
        found: Mask = _sides(ring, points.lon, points.lat) > 0
        for hole in polygon.interiors:
            found &= _sides(hole, points.lon, points.lat) < 0
        return found

    return Region((Box(min(lons), min(lats), max(lons), max(lats)),), contains)


def _sides(ring: Sequence[GeoPoint], x: Floats, y: Floats) -> npt.NDArray[np.int8]:
    """``geo``'s side of the ring for each point: 1 inside, 0 on it, -1 outside."""
    inside, on = np.zeros(len(x), np.bool_), np.zeros(len(x), np.bool_)
    for ax, ay, bx, by in geo.edges(ring):
        cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        touching = cross == 0
        if touching.any():
            within_x = (min(ax, bx) <= x) & (x <= max(ax, bx))
            on |= touching & within_x & (min(ay, by) <= y) & (y <= max(ay, by))
        inside ^= ((ay > y) != (by > y)) & ((cross > 0) == (by > ay))
    return np.where(on, 0, np.where(inside, 1, -1)).astype(np.int8)
