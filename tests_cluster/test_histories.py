"""One node, many clients, kill -9 under load: what they saw must have an order, over all restarts."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tests.live import LiveNode
from tests_cluster.history import Recorder
from tests_cluster.linearizability import Outcome

COLLECTION = "history"
SEED = int(os.environ.get("HISTORY_SEED") or random.SystemRandom().randint(1, 10**6))
KILLS = int(os.environ.get("HISTORY_KILLS") or 3)
KEYS = int(os.environ.get("HISTORY_KEYS") or 20)
CLIENTS = 10
RUN_S = (0.3, 1.5)
ENVIRONMENT = {
    "VECRAFT__STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "VECRAFT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD": "8",  # KiB: segments are sealed while we write
    "VECRAFT__STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
}


async def test_a_node_that_is_killed_under_load_stays_linearizable(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with LiveNode(tmp_path / "node", environment=ENVIRONMENT) as node:
        async with Recorder([node.url], COLLECTION, seed=SEED, keys=KEYS) as recorder:
            await recorder.create_collection()
            async with recorder.running(CLIENTS):
                for _ in range(KILLS):
                    await asyncio.sleep(rng.uniform(*RUN_S))  # the moment of death is the point
                    await asyncio.to_thread(node.restart)
                await asyncio.sleep(RUN_S[0])
            await recorder.read_all()
    print(f"{len(recorder.history)} operations, {dict(recorder.outcomes())}")
    assert recorder.outcomes()[Outcome.OK] > 20 * KILLS
    recorder.assert_linearizable()
