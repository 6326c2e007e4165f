"""What former versions stored is read: checkpoint, finished and growing segments, graphs, log.

``data/stored_by_0_2_0.tar.xz`` holds the files of a replica that 0.2.0 left behind as by a crash, and what
its points were (``expected.json``).
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from node.optimizer import runner
from node.optimizer.plan import Merge
from protos.collections import Distance, VectorParams, encode_vector_params
from protos.collections import SparseVectorParams as Sparse
from protos.filters import Filter, HasVector
from protos.operations import AddVectorName, UpdateVectors
from protos.rewriting import batch_of
from tests.node.replica.conftest import Shards
from tests.node.replica.kinds import plain, words
from tests.node.replica.machine import built_here
from tests.node.replica.points import config_of, contents, having, nearest, write

STORED = Path(__file__).parent / "data/stored_by_0_2_0.tar.xz"
CONFIG = config_of({"": VectorParams(4, Distance.EUCLID), "image": VectorParams(3, Distance.COSINE)})


async def test_a_replica_of_0_2_0_is_read_and_goes_on(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(STORED) as archive:
        archive.extractall(tmp_path, filter="data")
    expected = {
        int(point): tuple(held)
        for point, held in json.loads((tmp_path / "expected.json").read_text()).items()
    }
    shards.directory = tmp_path / "stored"
    replica = await shards.open(CONFIG)
    assert await contents(replica) == expected
    assert any(segment.graph("") is not None for segment in replica.view.segments)
    assert await nearest(replica, [41.2, 0, 0, 0], 2) == [41, 42]
    tagged = sum(payload["tag"] == 1 for payload, _ in expected.values())
    assert await replica.count(having("tag", 1), exact=True) == tagged

    monkeypatch.setattr(runner, "run_build", built_here)
    await replica.apply_config(AddVectorName("words", encode_vector_params(Sparse())))
    await write(replica, UpdateVectors([3], (batch_of("words", [words({7: 2.0})]),)))
    await replica.on_writer(replica.contents.applier.segments.seal_all)
    sealed = tuple(replica.contents.applier.segments.sealed)
    await replica._optimizer._carry_out(Merge(sealed))
    await replica.checkpoint()
    shards.crash()
    with_words = replace(CONFIG.params, sparse_vectors={"words": Sparse()})
    replica = await shards.open(replace(CONFIG, params=with_words))
    found = await contents(replica)
    assert found.pop(3) == (expected[3][0], {**expected.pop(3)[1], "words": plain({"": words({7: 2.0})})[""]})
    assert found == expected
    assert await replica.count(Filter(must=(HasVector("words"),)), exact=True) == 1
