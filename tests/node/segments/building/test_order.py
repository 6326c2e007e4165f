"""The order in which compactions lay rows out."""

from __future__ import annotations

import numpy as np

from node.segments.building.order import row_order


def test_the_first_key_counts_most_and_rows_that_agree_stay_in_order() -> None:
    tenant = np.array([1, 0, 1, 0, 1, -1])
    time = np.array([5, 9, 3, 9, 5, 0])
    order = row_order([tenant, time])
    assert order is not None
    assert order.tolist() == [5, 1, 3, 2, 0, 4]


def test_rows_in_order_and_rows_without_keys_stay() -> None:
    assert row_order([]) is None
    assert row_order([np.array([0, 0, 1, 2])]) is None
