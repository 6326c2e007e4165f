"""The same real replicas as the replica's tests use."""

from __future__ import annotations

from tests.node.replica.conftest import shards

__all__ = ["shards"]
