"""What a running server tells of itself: readiness, collections, memory, the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from vecraft import __version__
from vecraft.asking import Answering, ClusterView, look
from vecraft.client import Client, ClientError, Refused, path_of
from vecraft.doctor.findings import Finding, Severity

CHECK, CLUSTER = "server", "cluster"
SKEW_S_MAX = 5.0  # of clocks; tokens' expiry and the order of logs are told by them
COLLECTIONS_MAX = 1000  # that are asked about
_GIVEN_UP = frozenset({"Dead", "ManualRecovery", "PartialSnapshot"})


class Usage(Struct, frozen=True):
    disk_bytes: int = 0
    ram_bytes: int = 0
    cached_bytes: int = 0
    expected_cache_bytes: int = 0


class Memory(Struct, frozen=True):
    total: Usage = Usage()


class _Optimizer(Struct, frozen=True):
    error: str


class Collection(Struct, frozen=True):
    """``refusal``: why it could not be asked about; "" if it could."""

    status: str = ""
    optimizer_status: str | _Optimizer = "ok"
    memory: Usage = Usage()
    refusal: str = ""


class _Named(Struct, frozen=True):
    name: str


class _Names(Struct, frozen=True):
    collections: list[_Named]


class ServerFacts(Struct, frozen=True, kw_only=True):
    """``cluster`` None: the server is on its own. ``unready``: why it is not ready; "" if it is."""

    url: str
    unready: str
    collections: dict[str, Collection]
    cluster: ClusterView | None


def ask(client: Client) -> ServerFacts:
    """Raises: ClientError."""
    names = [each.name for each in client.get("/collections", _Names).collections][:COLLECTIONS_MAX]
    return ServerFacts(
        url=client.url,
        unready=_unready(client),
        collections={name: _collection(client, name) for name in names},
        cluster=look(client),
    )


def _collection(client: Client, name: str) -> Collection:
    path = path_of("collections", name)
    try:
        found = client.get(path, Collection)
        return replace(found, memory=client.get(f"{path}/memory", Memory).total)
    except Refused as error:  # where its shards are is out of reach: the others can be asked about still
        return Collection(refusal=str(error))


def unreachable(error: ClientError, *, asked_for: bool) -> list[Finding]:
    """Nobody answers where a server should; ``asked_for``: the user named the URL."""
    severity: Severity = "error" if asked_for else "warning"
    mend = "vecraft serve    # or name another by --url; its log says why it ended"
    if isinstance(error, Refused) and error.status in (401, 403):
        mend = "export VECRAFT_API_KEY=…    # a key that may manage"
    return [Finding(CHECK, severity, str(error), "the server could not be asked how it is", mend)]


def judge(facts: ServerFacts, *, available_bytes: int | None) -> list[Finding]:
    """``available_bytes``: memory that is free beside the server; None: it runs elsewhere, or unknown."""
    findings = []
    if facts.unready:
        why = "load balancers send it no requests"
        findings.append(
            Finding(CHECK, "error", f"it is not ready: {facts.unready}", why, f"curl {facts.url}/readyz")
        )
    for name, collection in facts.collections.items():
        findings += _judge_collection(facts.url, name, collection)
    if available_bytes is not None:
        memory = _summed(collection.memory for collection in facts.collections.values())
        findings += _judge_memory(memory, available_bytes)
    if facts.cluster is not None:
        findings += judge_cluster(facts.cluster)
    return findings


def judge_cluster(view: ClusterView) -> list[Finding]:
    findings = []
    if view.own.raft_info.leader is None:
        why = "nothing can be agreed on: no collection is created, no failed replica replaced"
        mend = "start the other peers; a majority of them must reach each other at their --uri"
        findings.append(Finding(CLUSTER, "error", "the cluster has no leader", why, mend))
    for member in view.members:
        answering = view.answering(member.id)
        thread = answering.details.consensus_thread_status if answering.details else None
        if not answering.responsive:
            why = "its replicas serve nobody, and shards may have too few"
            mend = f"start it again; if it is gone for good: vecraft cluster remove {member.id} --force"
            what = f"peer {member.id} at {member.uri} does not answer"
            findings.append(Finding(CLUSTER, "error", what, why, mend))
        elif thread is not None and thread.consensus_thread_status != "working":
            what = f"peer {member.id} has stopped agreeing with the others: {thread.err or 'it was removed'}"
            why = "it does not follow what is agreed on"
            findings.append(Finding(CLUSTER, "error", what, why, "restart it; its log says why it stopped"))
        if member.draining and not member.replicas:
            what = f"peer {member.id} is drained, and still a member"
            mend = f"vecraft cluster remove {member.id}    # or: vecraft cluster drain {member.id} --undo"
            findings.append(Finding(CLUSTER, "warning", what, "it gets no replicas, and has a vote", mend))
    return findings + _judge_versions(view) + _judge_replicas(view) + _judge_clocks(view)


def _judge_versions(view: ClusterView) -> list[Finding]:
    versions = {member.version for member in view.members if member.version}
    if len(versions) > 1:
        what = f"peers run different versions: {', '.join(sorted(versions))}"
        why = "what only the newer know is not used before all have it"
        return [
            Finding(CLUSTER, "warning", what, why, f"bring all peers to {max(versions)}, one after another")
        ]
    if versions and versions != {__version__}:
        what = f"the peers run {versions.pop()}, this program is {__version__}"
        return [
            Finding(
                CLUSTER, "warning", what, "commands may not fit the server", "use the program of the server"
            )
        ]
    return []


def _judge_replicas(view: ClusterView) -> list[Finding]:
    findings = []
    for name, collection in sorted(view.telemetry.collections.items()):
        for shard in collection.shards:
            lost = sorted(each.peer_id for each in shard.replicas if each.state in _GIVEN_UP)
            if not lost:
                continue
            active = [each for each in shard.replicas if each.state == "Active"]
            peers = ", ".join(map(str, lost))
            what = f"{name}, shard {shard.id}: dead on {peers}, active on {len(active)} peers"
            why = "it is one failure nearer to losing data" if active else "it serves nobody"
            mend = (
                "vecraft cluster status --watch    # it is recovered as soon as its peer and a source answer"
            )
            findings.append(Finding(CLUSTER, "warning" if active else "error", what, why, mend))
    return findings


def _judge_clocks(view: ClusterView) -> list[Finding]:
    """Peers say when they last heard of an agreement, which is a moment ago on each: their clocks show."""
    times = {
        member.id: told
        for member in view.members
        if (told := _clock_of(view.answering(member.id))) is not None
    }
    if len(times) < 2:
        return []
    slow, fast = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
    skew_s = (times[fast] - times[slow]).total_seconds()
    if skew_s <= SKEW_S_MAX:
        return []
    what = f"the clocks of peers {slow} and {fast} are {skew_s:.0f} s apart"
    why = "tokens expire too early or too late, and logs cannot be put in order"
    return [Finding(CLUSTER, "warning", what, why, "timedatectl set-ntp true    # on both")]


def _clock_of(answering: Answering) -> datetime | None:
    if answering.details is None or answering.details.consensus_thread_status.last_update is None:
        return None
    try:
        return datetime.fromisoformat(answering.details.consensus_thread_status.last_update)
    except ValueError:
        return None


def _judge_collection(url: str, name: str, found: Collection) -> list[Finding]:
    findings = []
    if found.refusal:
        what = f"collection {name} cannot be asked about: {found.refusal}"
        why = "some of its shards serve nobody"
        findings.append(
            Finding(CHECK, "error", what, why, "vecraft cluster status    # which peers are silent?")
        )
    if found.status == "red":
        what = f"collection {name} is red"
        why = "a shard could not be opened, or an operation failed"
        findings.append(
            Finding(CHECK, "error", what, why, f"curl {url}/collections/{name}    # and see the log")
        )
    if isinstance(found.optimizer_status, _Optimizer):
        what = f"collection {name} cannot be optimized: {found.optimizer_status.error}"
        why = "searches get slower as unindexed points gather"
        findings.append(
            Finding(CHECK, "error", what, why, "free what it names (memory, disk); it tries again")
        )
    return findings


def _judge_memory(memory: Usage, available_bytes: int) -> list[Finding]:
    """What the collections want in the page cache and is not there yet must still fit."""
    wanted = max(0, memory.expected_cache_bytes - memory.cached_bytes)
    if wanted <= available_bytes:
        return []
    what = (
        f"the collections want {memory.expected_cache_bytes / 2**30:.1f} GiB in the page cache beside"
        f" {memory.ram_bytes / 2**30:.1f} GiB in RAM; {available_bytes / 2**30:.1f} GiB are free"
    )
    why = "searches read from the disk, many times slower"
    mend = "add memory or peers, quantize (quantization_config), or set on_disk where slow is fine"
    return [Finding(CHECK, "warning", what, why, mend)]


def _summed(parts: Iterable[Usage]) -> Usage:
    held = list(parts)
    return Usage(*(sum(getattr(each, name) for each in held) for name in Usage.__struct_fields__))


def _unready(client: Client) -> str:
    try:
        client.text("/readyz")
    except Refused as error:
        return error.message
    return ""
