"""Small parts of the program: log levels, defaults for collections, the build's commit."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from protos.collections import CollectionDefaults, Memory, PayloadStorageParams, decode_create, new_config
from vecraft.build import commit
from vecraft.configuration import ConfigurationError
from vecraft.defaults import builds_max, collection_defaults, node_options
from vecraft.logs import parse_filter
from vecraft.settings import CollectionDefaults as Chosen
from vecraft.settings import PayloadSettings, PerformanceSettings, Settings, StorageSettings, read_timeout_ms


@pytest.mark.parametrize(
    ("text", "level", "targets", "problems"),
    [
        ("INFO", logging.INFO, {}, 0),
        ("debug", logging.DEBUG, {}, 0),
        ("info,raft=debug", logging.INFO, {"consensus.raft": logging.DEBUG}, 0),
        ("warn, node::replica=trace", logging.WARNING, {"node.replica": logging.DEBUG}, 0),
        ("loud", logging.INFO, {}, 1),
        ("error,x=loud", logging.ERROR, {}, 1),
    ],
)
def test_log_levels_are_taken_as_qdrant_takes_them(
    text: str, level: int, targets: dict[str, int], problems: int
) -> None:
    found_level, found_targets, found_problems = parse_filter(text)
    assert (found_level, found_targets, len(found_problems)) == (level, targets, problems)


@pytest.mark.parametrize(
    ("mode", "ceiling"),
    [("disabled", Memory.PINNED), ("no_resident", Memory.CACHED), ("no_populate", Memory.COLD)],
)
def test_a_low_memory_mode_bounds_what_is_kept_in_memory(mode: Any, ceiling: Memory) -> None:
    settings = Settings(storage=StorageSettings(low_memory_mode=mode))
    assert node_options(settings)["memory_ceiling"] is ceiling


def test_default_settings_give_qdrants_defaults_for_collections() -> None:
    assert collection_defaults(Settings()) == CollectionDefaults()


def test_defaults_for_collections_follow_the_settings() -> None:
    chosen = Chosen(
        replication_factor=2, vectors={"on_disk": True}, quantization={"scalar": {"type": "int8"}}
    )
    found = collection_defaults(Settings(storage=StorageSettings(collection=chosen, on_disk_payload=False)))
    assert (found.replication_factor, found.vectors_on_disk, found.on_disk_payload) == (2, True, False)
    assert found.quantization_config is not None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, PayloadStorageParams(Memory.CACHED)),
        ({"on_disk_payload": True}, None),
        ({"payload": {"memory": "cold"}}, PayloadStorageParams(Memory.COLD)),
    ],
)
def test_where_payloads_lie_by_default_counts_where_a_collection_states_nothing(
    asked: dict[str, Any], expected: PayloadStorageParams | None
) -> None:
    settings = Settings(storage=StorageSettings(payload=PayloadSettings(memory="cached")))
    request = decode_create({"vectors": {"size": 2, "distance": "Dot"}, **asked})
    assert new_config(request, collection_defaults(settings), peers=1).params.payload == expected


def test_a_map_of_the_wrong_shape_is_refused() -> None:
    chosen = Chosen(quantization={"scalar": {"type": 7}})
    with pytest.raises(ConfigurationError, match=r"storage\.collection"):
        collection_defaults(Settings(storage=StorageSettings(collection=chosen)))


def test_the_commit_has_forty_hexadecimal_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", commit())


@pytest.mark.parametrize(
    ("budget", "threads", "expected"), [(0, 0, None), (3, 0, 3), (-2, 0, 6), (-9, 0, 1), (0, 2, 2), (3, 2, 2)]
)
def test_builds_at_once_keep_to_both_budgets(budget: int, threads: int, expected: int | None) -> None:
    performance = PerformanceSettings(optimizer_cpu_budget=budget, max_optimization_runtime_threads=threads)
    assert builds_max(performance, cores=8) == expected


@pytest.mark.parametrize(("seconds", "expected_ms"), [(None, 60_000), (7, 7_000)])
def test_reads_without_a_timeout_get_the_configured_one(seconds: int | None, expected_ms: int) -> None:
    performance = PerformanceSettings(search_timeout_sec=seconds)
    assert read_timeout_ms(Settings(storage=StorageSettings(performance=performance))) == expected_ms
