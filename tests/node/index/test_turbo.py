"""Rows of four bits a component: what they lose, what they keep, how they are compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from node.index import best_of, set_threads, similarities
from node.index.distances import normalize
from node.index.rotation import turn, turn_back
from node.index.turbo import TurboRows, decode, decode_turned, encode, row_bytes
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
DIMS = [1, 2, 3, 5, 16, 63, 64, 100, 128, 384, 1000]
LOST = 0.0095  # of a normal variable's square, by the best 16 levels (Max 1960)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def gaussian(rows: int, dim: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def lost(given: FloatArray) -> float:
    """The mean share of squared length that the error of a stored row has."""
    stored = decode(encode(given), given.shape[1])
    return float(np.mean(np.square(stored - given).sum(axis=1) / np.square(given).sum(axis=1)))


@pytest.mark.parametrize("dim", DIMS)
def test_turning_keeps_lengths_and_products_and_is_undone(dim: int) -> None:
    given = gaussian(20, dim)
    turned = turn(given)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned @ turned.T, given @ given.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(turn_back(turned), given, rtol=1e-4, atol=1e-5)
    assert turn(given[:0]).shape == turn_back(given[:0]).shape == (0, dim)


@pytest.mark.parametrize("dim", [64, 100, 127, 384, 1000])
@pytest.mark.parametrize(
    "kind", ["even", "one component", "first half", "last half", "every other", "positive"]
)
def test_no_more_is_lost_than_the_levels_must_whatever_the_vectors(dim: int, kind: str) -> None:
    """As of a normal variable: a turned row's components are much like one, wherever its weight was."""
    given = gaussian(200, dim)
    match kind:
        case "one component":
            given = np.eye(dim, dtype=np.float32) * np.float32(3)
        case "first half":
            given[:, dim // 2 :] = 0
        case "last half":
            given[:, : dim // 2] = 0
        case "every other":
            given[:, ::2] = 0
        case "positive":
            given = np.abs(given)
    assert lost(given) < 1.08 * LOST


@pytest.mark.parametrize("dim", DIMS)
def test_lengths_are_kept_at_any_scale(dim: int) -> None:
    given = gaussian(50, dim) * np.float32(10.0) ** np.linspace(-30, 30, 50, dtype=np.float32)[:, np.newaxis]
    stored = decode(encode(given), dim).astype(np.float64)
    wanted = np.linalg.norm(given.astype(np.float64), axis=1)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), wanted, rtol=1e-5)


@pytest.mark.parametrize("dim", DIMS)
def test_zero_is_zero_and_nothing_becomes_infinite(dim: int) -> None:
    given = np.zeros((3, dim), dtype=np.float32)
    given[1], given[2, 0] = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    stored = encode(given)
    shown = decode(stored, dim)
    assert not np.signbit(shown[0]).any()
    assert not shown[0].any()
    assert np.isfinite(shown).all()
    assert np.isfinite(decode_turned(stored, dim)).all()
    assert np.linalg.norm(shown[1].astype(np.float64)) > np.finfo(np.float32).max / 4


@pytest.mark.parametrize("dim", [64, 100, 384])
def test_what_is_read_and_written_again_stays_as_it_is(dim: int) -> None:
    once = encode(gaussian(300, dim))
    again = encode(decode(once, dim))
    np.testing.assert_array_equal(again[:, :-4], once[:, :-4])
    np.testing.assert_allclose(decode(again, dim), decode(once, dim), rtol=1e-4, atol=1e-5)


def test_a_row_is_the_same_in_any_company() -> None:
    given = gaussian(3000, 100)  # more than are rounded at a time
    whole = encode(given)
    np.testing.assert_array_equal(
        np.concatenate([encode(row[np.newaxis]) for row in given[::97]]), whole[::97]
    )
    np.testing.assert_array_equal(decode(whole, 100)[::97], decode(whole[::97], 100))


def test_the_format_of_rows_stays() -> None:
    """Rows that were stored once are read for ever: two codes a byte, then the factor."""
    levels = np.array([[8, 15, 0, 7, 3, 12, 9]])
    codes = [15 << 4 | 8, 7 << 4, 12 << 4 | 3, 9]
    stored = np.array([[*codes, *np.array([0.5], dtype="<f4").tobytes()]], dtype=np.uint8)
    assert stored.shape[1] == row_bytes(7)
    by_code = {
        0: -2.7325896,
        3: -1.2562312,
        7: -0.12839503,
        8: 0.12839503,
        9: 0.38804829,
        12: 1.2562312,
        15: 2.7325896,
    }
    expected = [[0.5 * by_code[code] for code in levels[0].tolist()]]
    np.testing.assert_allclose(decode_turned(stored, 7), expected, rtol=1e-6)
    shown = decode(stored, 7)[0].tolist()
    assert shown == pytest.approx(
        [-0.591255, -0.710842, 0.960345, 1.098979, 0.68279, -0.4982, 0.932292], 1e-4
    )
    assert encode(np.arange(1, 8, dtype=np.float32)[np.newaxis]).tobytes().hex() == "c968b2034a508f40"


@pytest.mark.parametrize("dim", [7, 100, 128])
@pytest.mark.parametrize("distance", list(Distance))
def test_they_are_compared_as_what_they_are_read_as(distance: Distance, dim: int) -> None:
    stored = encode(gaussian(400, dim))
    shown = decode(stored, dim).astype(np.float64)
    queries = gaussian(5, dim, seed=1)
    difference = queries[:, np.newaxis] - shown
    table = {
        Distance.EUCLID: -np.square(difference).sum(axis=2),
        Distance.MANHATTAN: -np.abs(difference).sum(axis=2),
    }.get(distance, queries @ shown.T)
    by_turned = distance is not Distance.MANHATTAN
    rows = TurboRows(stored, dim, turned=by_turned)
    assert (len(rows), rows.shape) == (400, (400, dim))
    asked = turn(queries) if by_turned else queries
    picked = np.arange(0, 400, 3)
    np.testing.assert_allclose(
        similarities(distance, asked[0], rows, picked), table[0, picked], rtol=1e-4, atol=1e-4
    )
    _, scores = best_of(distance, asked, rows, 10)
    np.testing.assert_allclose(scores, -np.sort(-table, axis=1)[:, :10], rtol=1e-4, atol=1e-4)


def test_the_error_of_a_product_is_that_of_the_levels() -> None:
    """A unit row errs by sqrt(LOST) in a direction like any other of ``dim``: so much of it a query sees."""
    dim = 128
    given, queries = normalize(gaussian(2000, dim)), normalize(gaussian(50, dim, seed=1))
    errors = queries @ (decode(encode(given), dim) - given).T
    assert np.sqrt(np.mean(np.square(errors))) < 1.05 * np.sqrt(LOST / dim)
    assert abs(np.mean(errors)) < 0.02 * np.sqrt(LOST / dim)
