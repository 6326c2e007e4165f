"""Geometry of the geo conditions: planar boxes and polygons, distances on a sphere (reference 10.2).

Boundaries are outside: of a box, of a circle, of a polygon and of its holes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from protos.filters import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius

EARTH_RADIUS_M: Final = 6_371_008.8
Contains = Callable[[float, float], bool]  # longitude, latitude


def point_of(value: Any) -> tuple[float, float] | None:
    """Longitude and latitude of a payload value, None if it is not a geo point."""
    if not isinstance(value, dict):
        return None
    lon, lat = value.get("lon"), value.get("lat")
    if isinstance(lon, bool | None) or isinstance(lat, bool | None):
        return None
    if not isinstance(lon, int | float) or not isinstance(lat, int | float):
        return None
    return float(lon), float(lat)


def in_bounding_box(box: GeoBoundingBox) -> Contains:
    """A box whose left is east of its right spans the antimeridian."""
    left, top = box.top_left.lon, box.top_left.lat
    right, bottom = box.bottom_right.lon, box.bottom_right.lat
    if left > right:
        return lambda lon, lat: (lon > left or lon < right) and bottom < lat < top
    return lambda lon, lat: left < lon < right and bottom < lat < top


def in_radius(circle: GeoRadius) -> Contains:
    center, radius = circle.center, circle.radius
    return lambda lon, lat: distance_m(center.lon, center.lat, lon, lat) < radius


def distance_m(lon_a: float, lat_a: float, lon_b: float, lat_b: float) -> float:
    """Haversine distance in metres on a sphere of the mean radius of the earth."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half_lat = math.sin(math.radians(lat_b - lat_a) / 2)
    half_lon = math.sin(math.radians(lon_b - lon_a) / 2)
    chord = half_lat**2 + math.cos(phi_a) * math.cos(phi_b) * half_lon**2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


def in_polygon(polygon: GeoPolygon) -> Contains:
    exterior = edges(polygon.exterior)
    holes = [edges(ring) for ring in polygon.interiors]

    def contains(lon: float, lat: float) -> bool:
        return _side(exterior, lon, lat) > 0 and all(_side(hole, lon, lat) < 0 for hole in holes)

    return contains


_Edge = tuple[float, float, float, float]


def edges(ring: Sequence[GeoPoint]) -> list[_Edge]:
    return [(a.lon, a.lat, b.lon, b.lat) for a, b in itertools.pairwise(ring)]


def _side(edges: list[_Edge], x: float, y: float) -> int:
    """1 inside the ring, 0 on it, -1 outside: crossings of the ray to the east."""
    inside = False
    for ax, ay, bx, by in edges:
        cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        if cross == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return 0
        if (ay > y) != (by > y) and (cross > 0) == (by > ay):
            inside = not inside
    return 1 if inside else -1
