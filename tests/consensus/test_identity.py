"""The identity of a storage: kept, never invented over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.identity import (
    PEER_ID_MAX,
    IdentityDamaged,
    begin,
    drop_left_over,
    load,
    new_identity,
    raft_directory,
    save,
)


def test_each_process_is_a_new_incarnation_of_the_same_peer(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    first = begin(tmp_path, new_identity())
    second = begin(tmp_path, load(tmp_path) or new_identity())
    assert 1 <= first.peer_id == second.peer_id <= PEER_ID_MAX
    assert (first.incarnation, second.incarnation) == (1, 2)
    assert load(tmp_path) == second


def test_a_damaged_or_newer_identity_is_not_replaced(tmp_path: Path) -> None:
    save(tmp_path, new_identity(7))
    path = tmp_path / "identity.json"
    content = path.read_text()
    path.write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(IdentityDamaged, match="format 2"):
        load(tmp_path)
    path.write_text(content[:10])
    with pytest.raises(IdentityDamaged, match="makes no sense"):
        load(tmp_path)


def test_a_raft_log_without_an_identity_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raft").mkdir()
    with pytest.raises(IdentityDamaged, match="is missing"):
        load(tmp_path)


def test_only_the_present_cluster_s_log_is_kept(tmp_path: Path) -> None:
    identity = new_identity(7)
    for cluster in ("old", "new"):
        identity = type(identity)(1, 7, cluster_id=cluster)
        raft_directory(tmp_path, identity).mkdir(parents=True)
    drop_left_over(tmp_path, identity)
    assert [path.name for path in (tmp_path / "raft").iterdir()] == ["new"]
