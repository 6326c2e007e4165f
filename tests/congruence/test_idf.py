"""Weighed sparse searches have the judges' scores: fresh points in one shard, where their statistics and ours
are of the same points (elsewhere theirs are those of a shard, or count what has been deleted)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from tests.congruence.kinds_judge import KindsJudge
from tests.congruence.server import serving
from tests.congruence.vector_kinds import KINDS, for_client, make_points, make_vector, sparse_params
from tests.live import wait_for

KIND = KINDS["sparse_idf"]
POINTS, QUERIES, BELOW = 1200, 12, 4
CORPUS = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=BELOW))])


def scores(client: QdrantClient, name: str, vector: Any, corpus: models.Filter | None, limit: int) -> Any:
    params = None if corpus is None else models.SearchParams(idf=models.IdfCorpusParams(corpus=corpus))
    found = client.query_points(
        name, for_client(vector), using=KIND.name, limit=limit, search_params=params
    ).points
    return [point.score for point in found]


def test_weighed_searches_score_as_the_judges_do(tmp_path: Path) -> None:
    """Before and after an index is built; over all points, and over those of a corpus."""
    points = make_points(range(POINTS), 3, {KIND.name: KIND})
    judge, local = KindsJudge(tmp_path / "edge", {KIND.name: KIND}), QdrantClient(":memory:")
    judge.upsert(points)
    with serving(tmp_path / "server") as urls:
        ours = QdrantClient(url=urls[0], timeout=60, check_compatibility=False)
        made = [
            models.PointStruct(
                id=point["id"],
                vector={name: for_client(vector) for name, vector in point["vector"].items()},
                payload=point["payload"],
            )
            for point in points
        ]
        for client in (local, ours):
            client.create_collection(
                "c",
                vectors_config={},
                sparse_vectors_config={KIND.name: sparse_params(KIND)},
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
                shard_number=1,
            )
            client.upsert("c", made, wait=True)
        agree(judge, local, ours)
        ours.update_collection("c", optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1))
        wait_for(lambda: bool(ours.get_collection("c").indexed_vectors_count), seconds=60, what="the index")
        agree(judge, local, ours)
        ours.close()
    judge.close()
    local.close()


def agree(judge: KindsJudge, local: QdrantClient, ours: QdrantClient) -> None:
    rng = random.Random(5)
    for query in range(QUERIES):
        vector = make_vector(KIND, rng)
        limit = POINTS if query == 0 else 10
        for corpus, below in ((None, None), (CORPUS, BELOW)):
            wanted = [score for _, score in judge.search(KIND.name, vector, limit, corpus_below=below)]
            np.testing.assert_allclose(scores(ours, "c", vector, corpus, limit), wanted, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(
                scores(local, "c", vector, corpus, limit), wanted, rtol=1e-5, atol=1e-6
            )
