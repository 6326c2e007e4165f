"""Small parts of the program: log levels, defaults for collections, the build's commit."""

from __future__ import annotations

import logging
import re

import pytest

from protos.collections import CollectionDefaults
from vecraft.build import commit
from vecraft.configuration import ConfigurationError
from vecraft.defaults import collection_defaults
from vecraft.logs import parse_filter
from vecraft.settings import CollectionDefaults as Chosen
from vecraft.settings import Settings, StorageSettings


@pytest.mark.parametrize(
    ("text", "level", "targets", "problems"),
    [
        ("INFO", logging.INFO, {}, 0),
        ("debug", logging.DEBUG, {}, 0),
        ("info,raft=debug", logging.INFO, {"raft": logging.DEBUG}, 0),
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


def test_default_settings_give_qdrants_defaults_for_collections() -> None:
    assert collection_defaults(Settings()) == CollectionDefaults()


def test_defaults_for_collections_follow_the_settings() -> None:
    chosen = Chosen(
        replication_factor=2, vectors={"on_disk": True}, quantization={"scalar": {"type": "int8"}}
    )
    found = collection_defaults(Settings(storage=StorageSettings(collection=chosen, on_disk_payload=False)))
    assert (found.replication_factor, found.vectors_on_disk, found.on_disk_payload) == (2, True, False)
    assert found.quantization_config is not None


def test_a_map_of_the_wrong_shape_is_refused() -> None:
    chosen = Chosen(quantization={"scalar": {"type": 7}})
    with pytest.raises(ConfigurationError, match=r"storage\.collection"):
        collection_defaults(Settings(storage=StorageSettings(collection=chosen)))


def test_the_commit_has_forty_hexadecimal_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", commit())
