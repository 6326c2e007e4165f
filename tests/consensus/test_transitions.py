"""The state machine of the cluster: every command, its refusals, and what always holds."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.commands import (
    AddCollection,
    ChangeAliases,
    ChangeCollection,
    Command,
    DropCollection,
    DropPayloadIndex,
    DropVectorName,
    PlacedShard,
    SetClusterMetadata,
    SetPayloadIndex,
    SetVectorName,
    decode_command,
    encode_command,
)
from consensus.events import (
    AliasesChanged,
    CollectionAdded,
    CollectionChanged,
    CollectionDropped,
    DataLost,
    Rejected,
)
from consensus.invariants import check_invariants, check_step
from consensus.placement import deal_shards
from consensus.state import ClusterState, Peer, ReplicaState, decode_state, encode_state, founding_state
from consensus.transitions import apply, rejection
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    CollectionParamsDiff,
    CreateAlias,
    DeleteAlias,
    Distance,
    HnswConfigDiff,
    PayloadSchema,
    PayloadSchemaType,
    RenameAlias,
    UpdateCollection,
    VectorParams,
    VectorParamsDiff,
)
from protos.errors import AlreadyExists, BadInput, BadRequest, NotFound
from tests.consensus.commands import any_command
from tests.consensus.material import cluster

PEER = 7
KEYWORD = PayloadSchema(PayloadSchemaType.KEYWORD)
DENSE = VectorParams(4, Distance.DOT)


def add(name: str, *, shards: int = 1, limit: int | None = None) -> AddCollection:
    config = CollectionConfig(CollectionParams({"": DENSE}, shard_number=shards))
    placed = deal_shards(count=shards, replication_factor=1, peers=[PEER])
    return AddCollection(name, f"uuid-{name}", config, placed, created_ms=5, max_collections=limit)


def after(*commands: Command) -> ClusterState:
    state = founding_state(Peer(PEER))
    for command in commands:
        state, events = apply(state, command)
        assert rejection(events) is None, events
    return state


def refusal(state: ClusterState, command: Command) -> Exception:
    unchanged, events = apply(state, command)
    assert unchanged is state
    refused = rejection(events)
    assert refused is not None
    return refused.error


def test_an_added_collection_has_active_shards_on_its_peers() -> None:
    state, events = apply(founding_state(Peer(PEER)), add("c", shards=3))
    collection = state.collections["c"]
    assert events == (CollectionAdded("c"),)
    assert sorted(collection.shards) == [0, 1, 2]
    assert all(shard.replicas == {PEER: ReplicaState.ACTIVE} for shard in collection.shards.values())
    assert all((shard.primary, shard.term) == (PEER, 1) for shard in collection.shards.values())
    assert collection.groups[0].shards == (0, 1, 2)
    assert (collection.config_version, state.version) == (1, 1)


def test_a_name_is_used_once() -> None:
    state = after(add("c"), ChangeAliases((CreateAlias("c", "a"),)))
    error = refusal(state, add("c"))
    assert isinstance(error, AlreadyExists)
    assert str(error) == "Wrong input: Collection `c` already exists!"
    assert isinstance(refusal(state, add("a")), BadInput)


def test_the_limit_of_collections_is_kept() -> None:
    error = refusal(after(add("a", limit=1)), add("b", limit=1))
    assert isinstance(error, BadRequest)
    assert str(error) == (
        "Bad request: Can't create collection with name b. Max collections limit reached: 1"
    )


def test_shards_are_placed_on_known_peers_only() -> None:
    command = msgspec.structs.replace(add("c"), shards=(PlacedShard(0, (99,)),))
    assert isinstance(refusal(founding_state(Peer(PEER)), command), BadInput)


def test_dropping_takes_the_aliases_along() -> None:
    state = after(add("c"), add("d"), ChangeAliases((CreateAlias("c", "a"), CreateAlias("d", "b"))))
    state, events = apply(state, DropCollection("c"))
    assert events == (CollectionDropped("c", "uuid-c"),)
    assert list(state.collections) == ["d"]
    assert state.aliases == {"b": "d"}


@pytest.mark.parametrize("name", ["missing", "a"])
def test_dropping_what_is_no_collection_changes_nothing(name: str) -> None:
    state = after(add("c"), ChangeAliases((CreateAlias("c", "a"),)))
    unchanged, events = apply(state, DropCollection(name))
    assert unchanged is state
    assert events == ()


def test_a_configuration_change_bumps_its_version_only_if_it_changes_something() -> None:
    state = after(add("c"))
    update = UpdateCollection(vectors={"": VectorParamsDiff(hnsw_config=HnswConfigDiff(m=4))})
    state, events = apply(state, ChangeCollection("c", update))
    assert events == (CollectionChanged("c"),)
    assert state.collections["c"].config.hnsw_of("").m == 4
    assert state.collections["c"].config_version == 2
    again, events = apply(state, ChangeCollection("c", update))
    assert again is state
    assert events == ()


def test_changes_of_what_is_not_there_are_refused() -> None:
    state = after(add("c"))
    unknown = UpdateCollection(vectors={"x": VectorParamsDiff()})
    assert isinstance(refusal(state, ChangeCollection("c", unknown)), BadInput)
    for command in (
        ChangeCollection("x", UpdateCollection()),
        SetPayloadIndex("x", "f", KEYWORD),
        DropPayloadIndex("x", "f"),
        SetVectorName("x", "v", DENSE),
        DropVectorName("x", "v"),
    ):
        error = refusal(state, command)
        assert isinstance(error, NotFound)
        assert str(error) == "Not found: Collection `x` doesn't exist!"


def test_payload_indexes_are_set_replaced_and_dropped() -> None:
    state = after(add("c"), SetPayloadIndex("c", "f", KEYWORD))
    assert apply(state, SetPayloadIndex("c", "f", KEYWORD))[0] is state
    state = after(add("c"), SetPayloadIndex("c", "f", KEYWORD), SetPayloadIndex("c", "g", KEYWORD))
    state, _ = apply(state, DropPayloadIndex("c", "f"))
    assert state.collections["c"].payload_schema == {"g": KEYWORD}
    assert state.collections["c"].config_version == 4
    assert apply(state, DropPayloadIndex("c", "f")) == (state, ())


def test_vector_names_are_set_and_dropped() -> None:
    state = after(add("c"), SetVectorName("c", "v", DENSE))
    assert set(state.collections["c"].config.vectors) == {"", "v"}
    assert isinstance(refusal(state, SetVectorName("c", "v", VectorParams(5, Distance.DOT))), BadInput)
    state, _ = apply(state, DropVectorName("c", "v"))
    assert set(state.collections["c"].config.vectors) == {""}


def test_aliases_are_created_repointed_renamed_and_deleted() -> None:
    state = after(add("c"), add("d"), ChangeAliases((CreateAlias("c", "a"),)))
    state, events = apply(state, ChangeAliases((CreateAlias("d", "a"), RenameAlias("a", "b"))))
    assert events == (AliasesChanged(),)
    assert state.aliases == {"b": "d"}
    found = state.find("b")
    assert found is not None
    assert found.name == "d"
    assert apply(state, ChangeAliases((DeleteAlias("unknown"),))) == (state, ())
    assert apply(state, ChangeAliases((DeleteAlias("b"),)))[0].aliases == {}


@pytest.mark.parametrize(
    ("action", "kind", "text"),
    [
        (CreateAlias("x", "a"), NotFound, "Not found: Collection `x` doesn't exist!"),
        (CreateAlias("alias", "a"), NotFound, "Not found: Collection `alias` doesn't exist!"),
        (CreateAlias("c", "c"), AlreadyExists, "Wrong input: Collection `c` already exists!"),
        (RenameAlias("x", "y"), NotFound, "Not found: Alias x does not exists!"),
        (RenameAlias("alias", "c"), AlreadyExists, "Wrong input: Collection `c` already exists!"),
    ],
)
def test_alias_actions_are_refused(action: Any, kind: type[Exception], text: str) -> None:
    state = after(add("c"), ChangeAliases((CreateAlias("c", "alias"),)))
    error = refusal(state, ChangeAliases((action,)))
    assert isinstance(error, kind)
    assert str(error) == text


def test_alias_actions_before_a_failing_one_stay_done() -> None:
    actions = (CreateAlias("c", "a"), CreateAlias("x", "b"), CreateAlias("c", "d"))
    state, events = apply(after(add("c")), ChangeAliases(actions))
    assert state.aliases == {"a": "c"}
    assert [type(event) for event in events] == [AliasesChanged, Rejected]


def test_cluster_metadata_is_set_and_removed() -> None:
    state = after(SetClusterMetadata("k", {"v": 1}))
    assert state.metadata == {"k": {"v": 1}}
    assert apply(state, SetClusterMetadata("k", {"v": 1})) == (state, ())
    assert apply(state, SetClusterMetadata("k"))[0].metadata == {}


names = st.sampled_from(["a", "b", "c"])
updates = st.sampled_from(
    [
        UpdateCollection(),
        UpdateCollection(hnsw_config=HnswConfigDiff(m=4), metadata={"k": 1}),
        UpdateCollection(quantization_config="Disabled", metadata={"k": None}),
        UpdateCollection(vectors={"v": VectorParamsDiff(on_disk=True)}),
        UpdateCollection(params=CollectionParamsDiff(replication_factor=3)),
    ]
)
alias_actions = st.one_of(
    st.builds(CreateAlias, names, names), st.builds(DeleteAlias, names), st.builds(RenameAlias, names, names)
)
schema_commands = st.one_of(
    st.builds(add, names, shards=st.integers(0, 3), limit=st.sampled_from([None, 2])),
    st.builds(DropCollection, names),
    st.builds(ChangeCollection, names, updates),
    st.builds(ChangeAliases, st.lists(alias_actions, max_size=3).map(tuple)),
    st.builds(SetPayloadIndex, names, names, st.just(KEYWORD)),
    st.builds(DropPayloadIndex, names, names),
    st.builds(SetVectorName, names, st.just("v"), st.just(DENSE)),
    st.builds(DropVectorName, names, st.sampled_from(["", "v"])),
    st.builds(SetClusterMetadata, names, st.sampled_from([None, 1, "x"])),
)


def check_replay(state: ClusterState, replayed: ClusterState, command: Command) -> ClusterState:
    """Apply ``command`` to a state, and its bytes to the bytes of an equal one. Returns: the next state."""
    after, events = apply(state, command)
    check_invariants(after)
    check_step(state, after, data_lost=any(isinstance(event, DataLost) for event in events))
    assert (after is not state) == any(not isinstance(event, Rejected) for event in events)
    again, _ = apply(decode_state(encode_state(replayed)), decode_command(encode_command(command)))
    assert again == after
    return after


@settings(max_examples=60, deadline=None)
@given(st.lists(schema_commands, max_size=12))
def test_any_commands_keep_the_invariants_and_give_the_same_state_when_replayed_from_bytes(
    sequence: list[Command],
) -> None:
    state = founding_state(Peer(PEER))
    for command in sequence:
        state = check_replay(state, state, command)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_any_commands_about_members_and_replicas_keep_the_invariants(rng: Random, length: int) -> None:
    """Most of them make sense, many do not, some are late: seen on an earlier state."""
    state = cluster((1, 2), (2, 3), (4,), factor=2, peers=4)
    seen = [state]
    for _ in range(length):
        state = check_replay(state, state, any_command(rng, rng.choice([state, state, rng.choice(seen)])))
        seen.append(state)


@pytest.mark.slow
def test_any_commands_about_members_and_replicas_keep_the_invariants_for_long() -> None:
    for seed in range(300):
        rng = Random(seed)
        state = cluster((1, 2), (2, 3), (4,), factor=2, peers=4)
        seen = [state]
        for _ in range(150):
            command = any_command(rng, rng.choice([state, state, rng.choice(seen)]))
            state = check_replay(state, state, command)
            seen = [*seen[-20:], state]
