"""The fixture that modules with a ``cluster`` of their own share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests_cluster.cluster import Cluster
from tests_cluster.faults import restore
from tests_cluster.view import View


@pytest.fixture
def view(cluster: Cluster) -> Iterator[View]:
    """All members are up; what an earlier test left of its faults is undone."""
    restore(cluster)
    with View(cluster) as found:
        found.wait_joined(len(cluster))
        for node in cluster:
            found.peer_id(node)
        yield found
