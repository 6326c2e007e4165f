"""Who is asked: one node, or several as a cluster, with the same questions and the same judges.

``CONGRUENCE_NODES=3`` makes it a cluster, where every collection has six shards with two replicas unless it
says otherwise, and each request goes to another node. ``make test`` runs a share of the examples so, and
``make congruence`` all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import LiveNode
from tests_cluster.cluster import clustered
from tests_cluster.view import View

NODES = int(os.environ.get("CONGRUENCE_NODES") or 1)
SHARE = float(os.environ.get("CONGRUENCE_SHARE") or 1)
EXAMPLES_MIN = 5
CLUSTERED = NODES > 1
DEFAULTS = {"STORAGE__COLLECTION__SHARD_NUMBER": "6", "STORAGE__COLLECTION__REPLICATION_FACTOR": "2"}


# What speaks of judges or of generated requests alone is seen where one node is asked.
whoever_is_asked = pytest.mark.skipif(CLUSTERED, reason="the same whoever is asked")


def examples(count: int, *, least: int = EXAMPLES_MIN) -> int:
    """How many of ``count`` to try."""
    return max(least, round(count * SHARE))


@contextmanager
def serving(directory: Path) -> Iterator[list[str]]:
    """The URLs of the nodes, any of which may be asked."""
    with serving_nodes(directory) as nodes:
        yield [node.url for node in nodes]


@contextmanager
def serving_nodes(directory: Path) -> Iterator[list[LiveNode]]:
    if not CLUSTERED:
        with LiveNode(directory) as node:
            yield [node]
        return
    with clustered(directory, NODES, environment=DEFAULTS) as cluster, View(cluster) as view:
        view.wait_joined(NODES)
        yield [cluster[index] for index in range(NODES)]
