"""Selections are remembered per view, and only as long as it and its budget last."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from node.filter.evaluate import Selection
from node.query import search, selections
from node.query.selections import selected
from protos.filters import FieldCondition, Filter, MatchValue, Range
from protos.shard import SearchRequest
from tests.node.query.conftest import Shard

NewShard = Callable[..., Shard]


def equal(value: str | int | bool) -> Filter:
    return Filter(must=(FieldCondition("a", (MatchValue(value),)),))


def of(*slots: int) -> Selection:
    return Selection(None, np.array(slots, dtype=np.int64), len(slots))


def never() -> Selection:
    raise AssertionError("evaluated again")


def test_a_filter_is_evaluated_once_per_view(shard: NewShard):
    first, second = shard().view(), shard().view()
    assert selected(first, equal("x"), lambda: of(1)).count == 1
    assert selected(first, equal("x"), never).count == 1
    assert selected(second, equal("x"), lambda: of(1, 2)).count == 2
    assert selected(first, equal(1), lambda: of(3, 4, 5)).count == 3
    assert selected(first, equal(True), lambda: of()).count == 0


def test_what_payloads_must_decide_is_not_kept(shard: NewShard):
    view = shard().view()
    open_ = Selection(None, np.array([1]), 1, residue=lambda _id, _payload: True)
    assert selected(view, equal("x"), lambda: open_) is open_
    assert selected(view, equal("x"), lambda: of(1, 2)).count == 2


def test_views_are_let_go(shard: NewShard):
    made = shard()
    made.put(1, [1.0, 0.0])
    view = made.view()
    selected(view, equal("x"), lambda: of(1))
    search(view, [SearchRequest("", np.ones(2, dtype=np.float32), 3)])
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None


def test_the_budget_holds(shard: NewShard, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selections, "_BYTES_MAX", 2000)
    view = shard().view()
    for i in range(5):
        selected(view, equal(i), lambda: of(*range(100)))
    assert selected(view, equal(4), never).count == 100
    with pytest.raises(AssertionError, match="again"):
        selected(view, equal(0), never)


def test_integers_that_cannot_be_encoded_are_evaluated_each_time(shard: NewShard):
    view = shard().view()
    huge = Filter(must=(FieldCondition("a", (Range(lt=2**70),)),))
    assert selected(view, huge, lambda: of(1)).count == 1
    assert selected(view, huge, lambda: of(1, 2)).count == 2
