"""A geo index decides as the check of a payload does, to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.filter import geo
from protos.collections import GeoIndexParams
from protos.filters import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius, decode_filter
from tests.node.filter.shard import Shard

lons, lats = st.floats(-180, 180), st.floats(-90, 90)
points = st.builds(GeoPoint, lons, lats)
whole = st.builds(GeoPoint, st.integers(-180, 180).map(float), st.integers(-90, 90).map(float))
radii = st.one_of(st.floats(0, 3e7), st.floats(0, 5e3), st.sampled_from([0.0, 1e-6, 2.0015e7, 2.0016e7]))


def indexed(places: list[GeoPoint]) -> Shard:
    """Half of the points in the base of the index, the others in its delta."""
    shard = Shard()
    shard.columns.install(shard.columns.built("k", GeoIndexParams(), ()))
    for at, place in enumerate(places):
        shard.put(at, {"k": {"lon": place.lon, "lat": place.lat}})
        if at == len(places) // 2:
            shard.columns.rebuild()
    return shard


def as_json(place: GeoPoint) -> dict[str, float]:
    return {"lon": place.lon, "lat": place.lat}


def agree(places: list[GeoPoint], condition: dict[str, Any], contains: geo.Contains) -> None:
    selection = (shard := indexed(places)).select(decode_filter({"must": [{"key": "k", **condition}]}))
    assert selection.exact
    expected = [at for at, place in enumerate(places) if contains(place.lon, place.lat)]
    assert shard.candidates(selection) == expected


def moved(place: GeoPoint, bearing: float, distance: float) -> GeoPoint:
    """About ``distance`` metres away."""
    angle = distance / geo.EARTH_RADIUS_M
    lat = math.radians(place.lat)
    there = math.asin(
        max(
            -1.0,
            min(1.0, math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing)),
        )
    )
    east = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(lat), math.cos(angle) - math.sin(lat) * math.sin(there)
    )
    lon = (place.lon + math.degrees(east) + 540) % 360 - 180
    return GeoPoint(lon, max(-90.0, min(90.0, math.degrees(there))))


near = st.tuples(
    st.floats(0, 2 * math.pi), st.sampled_from([0.0, 0.5, 1 - 1e-9, 1 - 1e-15, 1.0, 1 + 1e-12, 1.1])
)


@given(
    center=points | whole,
    radius=radii,
    steps=st.lists(near, max_size=12),
    others=st.lists(points, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_circles(center: GeoPoint, radius: float, steps: list[Any], others: list[GeoPoint]) -> None:
    """Most points lie about on the circle."""
    places = [moved(center, bearing, min(radius, 2e7) * share) for bearing, share in steps] + others
    condition = {"geo_radius": {"center": as_json(center), "radius": radius}}
    agree(places, condition, geo.in_radius(GeoRadius(center, radius)))


@given(a=whole, b=whole, places=st.lists(whole | points, max_size=20))
@settings(max_examples=80, deadline=None)
def test_boxes_also_over_the_antimeridian(a: GeoPoint, b: GeoPoint, places: list[GeoPoint]) -> None:
    box = GeoBoundingBox(a, b)
    condition = {"geo_bounding_box": {"top_left": as_json(a), "bottom_right": as_json(b)}}
    agree([*places, a, b], condition, geo.in_bounding_box(box))


small = st.builds(GeoPoint, st.integers(-4, 4).map(float), st.integers(-4, 4).map(float))


@given(
    ring=st.lists(small | points, min_size=3, max_size=7),
    hole=st.lists(small, min_size=3, max_size=4) | st.none(),
    places=st.lists(small, max_size=20),
)
@settings(max_examples=80, deadline=None)
def test_polygons_with_holes(
    ring: list[GeoPoint], hole: list[GeoPoint] | None, places: list[GeoPoint]
) -> None:
    rings = [(*each, each[0]) for each in ([ring] if hole is None else [ring, hole])]
    polygon = GeoPolygon(rings[0], tuple(rings[1:]))
    as_rings = [{"points": [as_json(place) for place in each]} for each in rings]
    condition = {"geo_polygon": {"exterior": as_rings[0], "interiors": as_rings[1:]}}
    agree(places, condition, geo.in_polygon(polygon))


@pytest.mark.parametrize("radius", [10.0, 3_000.0, 250_000.0, 5e6])
def test_of_many_points_those_within_are_found(radius: float) -> None:
    rng = np.random.default_rng(3)
    places = [GeoPoint(lon, lat) for lon, lat in zip(rng.normal(13.4, 5, 3000), rng.normal(52.5, 3, 3000))]
    places += [moved(GeoPoint(13.4, 52.5), bearing, 5.0) for bearing in range(6)]
    center = GeoPoint(13.4, 52.5)
    condition = {"geo_radius": {"center": as_json(center), "radius": radius}}
    agree(places, condition, geo.in_radius(GeoRadius(center, radius)))
