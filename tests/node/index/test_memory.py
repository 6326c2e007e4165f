"""Memory that graphs are built in."""

from __future__ import annotations

import gc

import numpy as np

from node.index import memory
from node.index.library import faiss


def test_it_begins_with_a_line_of_the_cache() -> None:
    for shape in ((0,), (1,), (1000, 192), (70_000, 64)):
        array = memory.zeros(shape, np.int32)
        assert array.shape == shape
        assert array.ctypes.data % 64 == 0
        assert not array.any()


def test_what_was_lent_lives_as_long_as_the_borrower_and_is_written_with_it() -> None:
    index = faiss.IndexHNSWSQ(64, faiss.ScalarQuantizer.QT_8bit_direct, 8, faiss.METRIC_L2)
    storage = faiss.downcast_index(index.storage)
    storage.add(np.ones((5, 64), dtype=np.float32))
    codes = memory.zeros((100, 64), np.uint8)
    codes[:] = np.arange(100)[:, np.newaxis]
    memory.lend(codes, storage.codes, index)
    storage.ntotal = len(codes)
    del codes
    gc.collect()
    again = faiss.deserialize_index(faiss.serialize_index(storage))
    for held in (storage, again):
        assert held.search(np.full((1, 64), 41.2, dtype=np.float32), 1)[1].tolist() == [[41]]
