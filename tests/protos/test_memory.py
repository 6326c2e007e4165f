"""What shards take adds up, whatever each of them has."""

from __future__ import annotations

from protos.memory import ShardMemory, Usage, VectorMemory, memory_of_all


def test_shards_add_up_by_component() -> None:
    one = ShardMemory(
        {"a": VectorMemory(Usage(1), Usage(ram_bytes=2))}, payload=Usage(3), payload_index={"k": Usage(4)}
    )
    other = ShardMemory(
        {"a": VectorMemory(Usage(10)), "b": VectorMemory(Usage(20))}, id_tracker=Usage(cached_bytes=5)
    )
    found = memory_of_all([one, other])
    assert found == ShardMemory(
        {"a": VectorMemory(Usage(11), Usage(ram_bytes=2)), "b": VectorMemory(Usage(20))},
        payload=Usage(3),
        payload_index={"k": Usage(4)},
        id_tracker=Usage(cached_bytes=5),
    )
    assert found.total == Usage(38, 2, 5, 0)
    assert memory_of_all([]).total == Usage()
