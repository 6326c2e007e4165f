"""Calls that make snapshots and backups and bring them back, with what there is before and must be after.

May not live here: killing (``test_snapshot_steps``), how steps are told (``steps``).
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.live import LiveNode, wait_for
from tests.ports import free_port
from tests_cluster import steps
from tests_cluster.steps import Seen

C = "/collections/c"
POINTS = 40
OLD, NEW = 1, 2
READY_S_MAX = 120.0  # it is started a hundred times; one that takes its time is no failure
PATIENCE_S = 20.0
BACKED_UP = "/cluster/backups"
FORCE = "--force-snapshot"


class World:
    """A node that can be killed at its steps, with a collection ``c`` of two shards, and one to follow."""

    def __init__(self, directory: Path, *, clustered: bool = False) -> None:
        port = free_port()
        cluster = {"VECRAFT__CLUSTER__ENABLED": "true", "VECRAFT__CLUSTER__P2P__PORT": str(port)}
        self.control = directory / "steps"
        self.founding = ("--uri", f"http://127.0.0.1:{port}") if clustered else ()
        environment = {steps.SOCKET_VARIABLE: str(self.control), **(cluster if clustered else {})}
        self.node = LiveNode(
            directory / "node",
            environment=environment,
            arguments=self.founding,
            module="tests_cluster.steps",
        )
        self.node.ready_s_max = READY_S_MAX
        self.source = LiveNode(directory / "source")
        self.client = httpx.Client(base_url=self.node.url, timeout=60)
        self.given: dict[str, Any] = {}

    def begin(self) -> None:
        self.node.start()
        self.make()

    def end(self) -> None:
        self.client.close()
        self.node.kill()
        self.source.kill()

    def make(self, client: httpx.Client | None = None) -> None:
        client = client or self.client
        body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2}
        client.put(C, json=body).raise_for_status()

    def put(self, value: int, client: httpx.Client | None = None) -> None:
        points = [{"id": i, "vector": [value, i, 1, 1], "payload": {"v": value}} for i in range(POINTS)]
        answer = (client or self.client).put(f"{C}/points?wait=true", json={"points": points})
        assert answer.status_code == 200, answer.text

    def values(self, shard: int | None = None) -> list[int]:
        """Of the points of ``c`` or one shard; none if there is no such collection."""
        base = C if shard is None else f"{C}/shards/{shard}"
        answer = self.answered("POST", f"{base}/points/scroll", json={"limit": 1000})
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200, answer.text
        return [point["payload"]["v"] for point in answer.json()["result"]["points"]]

    def answered(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A node that has just started says 503 until the files of its shards are open."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self.client.request(method, path, **more)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer

    def asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.answered(method, path, **more)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer

    # --- files ---------------------------------------------------------------------------------------------

    @property
    def snapshots(self) -> Path:
        return self.node.directory / "snapshots"

    def check_files(self) -> None:
        """Besides snapshots that are listed, their checksums and contents of backups there is nothing."""
        listed = set()
        for path, below in (
            (f"{C}/snapshots", "c/"),
            (f"{C}/shards/0/snapshots", "c/shards/0/"),
            ("/snapshots", ""),
        ):
            answer = self.client.get(path)
            found = answer.json()["result"] if answer.status_code == 200 else []
            listed |= {f"{below}{one['name']}" for one in found}
        files = {
            path.relative_to(self.snapshots).as_posix()
            for path in self.snapshots.rglob("*")
            if path.is_file() and "backups" not in path.parts and not path.name.startswith("given")
        }
        expected = listed | {f"{name}.checksum" for name in listed}
        if self.client.get(C).status_code == 200:
            assert files == expected
        for name in ("restoring", "transfers"):
            place = self.node.storage / name  # what a crash left there goes while the node serves already
            wait_for(partial(_is_empty, place), seconds=PATIENCE_S, what=f"{name} to be empty")

    def trash(self) -> set[str]:
        place = self.node.storage / "trash"
        return {path.name for path in place.iterdir()} if place.exists() else set()

    def seen(self, question: str = "seen") -> dict[str, Seen]:
        return steps.ask(self.control, question)


def _is_empty(place: Path) -> bool:
    return not place.exists() or not list(place.iterdir())


@dataclass(frozen=True)
class Call:
    """``prepare`` makes what there is before, ``run`` is killed, ``check`` looks at what there is then, given
    whether it went well. ``set_up``: once. ``at_start``: it is made by starting the node."""

    name: str
    prepare: Callable[[World], None]
    run: Callable[[World], None]
    check: Callable[[World, bool], None]
    set_up: Callable[[World], None] = lambda _: None
    at_start: bool = False


# --- the calls ----------------------------------------------------------------------------------------------


def put_old(world: World) -> None:
    world.put(OLD)


def old_stays(world: World, _: bool) -> None:
    assert world.values() == [OLD] * POINTS


def old_or_new(world: World, done: bool) -> None:
    values = world.values()
    assert values in ([NEW] * POINTS, [OLD] * POINTS), "a mixture"
    assert values == [NEW] * POINTS or not done


def posting(path: str) -> Callable[[World], None]:
    return lambda world: void(world.asked("POST", path))


def void(_: object) -> None:
    """Nobody needs it."""


def snapshot_of_new(path: str) -> Callable[[World], None]:
    """Set up: a snapshot whose points are new, and its bytes."""

    def set_up(world: World) -> None:
        world.put(NEW)
        made = world.asked("POST", f"{path}/snapshots").json()["result"]
        world.given[path] = made["name"], world.asked("GET", f"{path}/snapshots/{made['name']}").content

    return set_up


def recovering(path: str) -> Callable[[World], None]:
    return lambda world: void(
        world.asked("PUT", f"{path}/snapshots/recover", json={"location": world.given[path][0]})
    )


def uploading(path: str) -> Callable[[World], None]:
    return lambda world: void(
        world.asked("POST", f"{path}/snapshots/upload", files={"snapshot": world.given[path][1]})
    )


SHARD = f"{C}/shards/0"


def shard_old_or_new(world: World, done: bool) -> None:
    """The other shard stays as it was."""
    assert set(world.values(shard=1)) == {OLD}
    assert len(set(world.values(shard=0))) == 1, "a mixture"
    assert set(world.values(shard=0)) == {NEW} or not done


def without_collection(world: World) -> None:
    """Its files go after the answer, which would be steps of whatever call comes next."""
    before = world.trash()
    world.answered("DELETE", C)
    wait_for(
        lambda: not (world.node.storage / "collections/c").exists() and world.trash() <= before,
        seconds=PATIENCE_S,
        what="the files of the collection to go",
    )


def all_or_none(world: World, done: bool) -> None:
    values = world.values()
    assert values in ([], [NEW] * POINTS)
    assert values or not done


def names(world: World) -> list[str]:
    return [one["name"] for one in world.asked("GET", f"{C}/snapshots").json()["result"]]


def snapshot_to_delete(world: World) -> None:
    if world.given.get("doomed") not in names(world):
        world.given["doomed"] = world.asked("POST", f"{C}/snapshots").json()["result"]["name"]


def deleting(world: World) -> None:
    answer = world.client.delete(f"{C}/snapshots/{world.given['doomed']}")
    assert answer.status_code in (200, 404)  # it may be gone


def deleted(world: World, done: bool) -> None:
    if world.given["doomed"] in names(world):
        assert not done
        world.asked("PUT", f"{C}/snapshots/recover", json={"location": world.given["doomed"]})


def new_elsewhere(world: World) -> None:
    """Set up: a node to follow, whose points are new."""
    if world.source.process is None:
        world.source.start()
    with httpx.Client(base_url=world.source.url, timeout=60) as client:
        client.delete(C)
        world.make(client)
        world.put(NEW, client)


def known_elsewhere(world: World) -> None:
    """The same, most of whose files are here."""
    new_elsewhere(world)
    follow(world)


def follow(world: World) -> None:
    path = f"{C}/shards/{{}}/snapshot/partial/recover_from"
    for shard in (0, 1):
        world.asked("POST", path.format(shard), json={"peer_url": world.source.url})


def followed(world: World, done: bool) -> None:
    """Each shard for itself."""
    for shard in (0, 1):
        found = set(world.values(shard=shard))
        assert found in ({OLD}, {NEW}), "a mixture"
        assert found == {NEW} or not done


def take_by_hand(world: World) -> None:
    path = f"{SHARD}/snapshot/partial"
    manifest = world.asked("GET", f"{path}/manifest").json()["result"]
    with httpx.Client(base_url=world.source.url, timeout=60) as client:
        made = client.post(f"{path}/create", json=manifest).content
    if made:
        world.asked("POST", f"{path}/recover", files={"snapshot": made})


def make_partial(world: World) -> None:
    """What somebody with nothing lacks."""
    manifest = {"format": 1, "collection": "c", "shard_id": 0, "stamp": "", "origin": "", "files": {}}
    world.asked("POST", f"{SHARD}/snapshot/partial/create", json=manifest)


def whole_of_new(world: World) -> None:
    """Set up: a snapshot of the whole storage, kept where nothing is listed."""
    world.put(NEW)
    alias = {"create_alias": {"collection_name": "c", "alias_name": "a"}}
    world.asked("POST", "/collections/aliases", json={"actions": [alias]})
    name = world.asked("POST", "/snapshots").json()["result"]["name"]
    world.given["whole"] = world.node.directory / "given.tar"
    shutil.copyfile(world.snapshots / name, world.given["whole"])


def empty_storage(world: World) -> None:
    world.node.stop()
    shutil.rmtree(world.node.storage)


def old_storage(world: World) -> None:
    world.put(OLD)
    world.node.stop()


def start_with(*more: str) -> Callable[[World], None]:
    def start(world: World) -> None:
        world.node.arguments = ("--storage-snapshot", str(world.given["whole"]), *more)
        try:
            world.node.start()
        finally:
            world.node.arguments = world.founding

    return start


def whole_or_none(world: World, done: bool) -> None:
    all_or_none(world, done)
    aliases = world.asked("GET", "/aliases").json()["result"]["aliases"]
    assert [one["alias_name"] for one in aliases] in ([], ["a"])
    assert aliases or not done


def leftovers(world: World) -> None:
    """What a crash may leave anywhere."""
    world.put(OLD)
    world.node.stop()
    for name in (
        "snapshots/tmp/x.draft",
        "snapshots/tmp/upload/x",
        "snapshots/c/x.snapshot.checksum",
        "snapshots/c/x.snapshot.checksum.tmp",
        "storage/restoring/x/points.mdb",
        "storage/transfers/x/points.mdb",
        "storage/trash/x/points.mdb",
    ):
        path = world.node.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def start(world: World) -> None:
    world.node.start()


def dropped_and_made(world: World) -> None:
    world.asked("DELETE", C)
    world.make()
    world.put(OLD)


def made_or_not(world: World, done: bool) -> None:
    if not done and not world.values():
        world.client.delete(C)
        world.make()
        world.put(OLD)
    old_stays(world, done)


def backups(world: World) -> list[str]:
    found: list[str] = world.asked("GET", BACKED_UP).json()["result"]["backups"]
    return found


def backed_up(world: World, done: bool) -> None:
    """Every backup that is listed is whole."""
    old_stays(world, done)
    for name in backups(world)[-1:]:
        world.client.delete(C)
        world.asked("POST", f"{BACKED_UP}/{name}/recover")
        old_stays(world, done)
    drafts = [path for path in world.snapshots.rglob("*") if path.suffix in (".draft", ".tmp")]
    assert not done or (backups(world) and not drafts)


def old_with_a_draft(world: World) -> None:
    """Which a crash left in the folder of backups."""
    put_old(world)
    path = world.snapshots / "backups/contents/x.draft"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def several_backups(world: World) -> None:
    for value in (NEW, OLD):
        world.put(value)
        world.asked("POST", BACKED_UP)
    world.given["newest"] = backups(world)[-1]


def prune(world: World) -> None:
    world.asked("POST", f"{BACKED_UP}/prune", json={"keep": 1})


def pruned(world: World, done: bool) -> None:
    """The newest stays, and all that are listed are whole."""
    found = backups(world)
    assert found[-1] == world.given["newest"]
    assert len(found) == 1 or not done
    contents = {path.name for path in (world.snapshots / "backups/contents").rglob("*") if path.is_file()}
    needed = set()
    for name in found:
        needed |= set(re.findall(r"[0-9a-f]{64}", (world.snapshots / "backups" / name).read_text()))
    assert needed <= contents
    assert needed == contents or not done


def backup_of_new(world: World) -> None:
    world.put(NEW)
    world.given["backup"] = world.asked("POST", BACKED_UP).json()["result"]["name"]


def bring_back(world: World) -> None:
    if not world.values():
        world.asked("POST", f"{BACKED_UP}/{world.given['backup']}/recover")


ALONE: dict[str, list[Call]] = {
    "create": [
        Call("of a collection", put_old, posting(f"{C}/snapshots"), old_stays),
        Call("of a shard", put_old, posting(f"{SHARD}/snapshots"), old_stays),
        Call("of all", put_old, posting("/snapshots"), old_stays),
        Call("streamed", put_old, lambda world: void(world.asked("GET", f"{SHARD}/snapshot")), old_stays),
        Call("partial", put_old, make_partial, old_stays),
    ],
    "recover": [
        Call("a collection", put_old, recovering(C), old_or_new, snapshot_of_new(C)),
        Call("a new collection", without_collection, uploading(C), all_or_none, snapshot_of_new(C)),
    ],
    "recover a shard": [
        Call("by name", put_old, recovering(SHARD), shard_old_or_new, snapshot_of_new(SHARD)),
        Call("uploaded", put_old, uploading(SHARD), shard_old_or_new, snapshot_of_new(SHARD)),
    ],
    "follow": [
        Call("another node", put_old, follow, followed, new_elsewhere),
        Call("by hand", put_old, take_by_hand, shard_old_or_new, known_elsewhere),
    ],
    "delete": [Call("of a collection", snapshot_to_delete, deleting, deleted, put_old)],
    "start": [
        Call("with leftovers", leftovers, start, old_stays, at_start=True),
        Call("with all", empty_storage, start_with(), whole_or_none, whole_of_new, at_start=True),
        Call("replacing", old_storage, start_with(FORCE), old_or_new, whole_of_new, at_start=True),
    ],
    "drop": [Call("and make", put_old, dropped_and_made, made_or_not)],
}
CLUSTERED: dict[str, list[Call]] = {
    "back up": [
        Call("the cluster", old_with_a_draft, posting(BACKED_UP), backed_up),
        Call("and remove old ones", several_backups, prune, pruned),
        Call("and bring back", without_collection, bring_back, all_or_none, backup_of_new),
    ],
    "recover in a cluster": [
        Call("a collection", put_old, recovering(C), old_or_new, snapshot_of_new(C)),
    ],
}
