from __future__ import annotations

from typing import Any

import pytest

from node.filter import geo
from protos.filters import GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius


def test_distance_is_haversine_on_the_mean_radius() -> None:
    assert geo.distance_m(0, 0, 180, 0) == pytest.approx(3.141592653589793 * 6_371_008.8)
    berlin, paris = (13.405, 52.52), (2.3522, 48.8566)
    assert geo.distance_m(*berlin, *paris) == pytest.approx(877_460, rel=1e-3)
    assert geo.distance_m(*berlin, *berlin) == 0


def test_a_circle_excludes_its_edge() -> None:
    radius = geo.distance_m(0, 0, 1, 0)
    assert not geo.in_radius(GeoRadius(GeoPoint(0, 0), radius))(1, 0)
    assert geo.in_radius(GeoRadius(GeoPoint(0, 0), radius + 1e-6))(1, 0)


def test_a_box_excludes_its_edges() -> None:
    inside = geo.in_bounding_box(GeoBoundingBox(GeoPoint(0, 10), GeoPoint(10, 0)))
    assert inside(5, 5)
    assert not any(inside(*point) for point in [(0, 5), (10, 5), (5, 0), (5, 10), (11, 5)])


def test_a_box_may_span_the_antimeridian() -> None:
    inside = geo.in_bounding_box(GeoBoundingBox(GeoPoint(170, 10), GeoPoint(-170, 0)))
    assert inside(175, 5)
    assert inside(-175, 5)
    assert not inside(0, 5)
    assert not inside(170, 5)


def ring(*corners: tuple[float, float]) -> tuple[GeoPoint, ...]:
    return tuple(GeoPoint(*corner) for corner in (*corners, corners[0]))


SQUARE = ring((0, 0), (10, 0), (10, 10), (0, 10))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((5, 5), True),
        ((0, 5), False),
        ((5, 0), False),
        ((10, 10), False),
        ((-1, 5), False),
        ((11, 10), False),
    ],
)
@pytest.mark.parametrize("corners", [SQUARE, SQUARE[::-1]], ids=["counterclockwise", "clockwise"])
def test_a_polygon_excludes_its_boundary(corners: Any, point: tuple[float, float], expected: bool) -> None:
    assert geo.in_polygon(GeoPolygon(corners))(*point) is expected


def test_a_polygon_may_be_concave_and_have_corners_level_with_the_point() -> None:
    arrow = ring((0, 0), (10, 5), (0, 10), (5, 5))
    inside = geo.in_polygon(GeoPolygon(arrow))
    assert inside(7, 5)
    assert not inside(2, 5)


def test_holes_and_their_edges_are_outside() -> None:
    inside = geo.in_polygon(GeoPolygon(SQUARE, (ring((4, 4), (6, 4), (6, 6), (4, 6)),)))
    assert inside(3, 5)
    assert not inside(5, 5)
    assert not inside(4, 5)


@pytest.mark.parametrize(
    ("value", "point"),
    [
        ({"lon": 1, "lat": 2.5}, (1.0, 2.5)),
        ({"lon": 1, "lat": 2, "name": "x"}, (1.0, 2.0)),
        ({"lon": "1", "lat": 2}, None),
        ({"lon": True, "lat": 2}, None),
        ({"lat": 2}, None),
        ([1, 2], None),
        (None, None),
    ],
)
def test_a_geo_point_is_an_object_of_two_numbers(value: Any, point: Any) -> None:
    assert geo.point_of(value) == point
