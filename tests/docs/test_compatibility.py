"""``docs/COMPATIBILITY.md`` tells the truth: what it names exists, and what exists is named.

``qdrant_routes.txt`` lists the routes of Qdrant 1.19, also those that its own OpenAPI document leaves out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp.test_utils import TestClient

from router.grpc.server import COLLECTIONS, POINTS, QDRANT, SNAPSHOTS
from tests.router.rest.conftest import AppServer
from tests.vecraft.served import serving
from vecraft.settings import ServiceSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "COMPATIBILITY.md").read_text()
README = (ROOT / "README.md").read_text()
QDRANT_ROUTES = set((Path(__file__).parent / "qdrant_routes.txt").read_text().splitlines())
TOPICS = 19
# Sections whose values are handed on as a whole.
WHOLE = (
    "storage.optimizers",
    "storage.optimizers_overwrite",
    "storage.hnsw_index",
    "storage.wal",
    "storage.quotas",
)
# What a section is called where it is read, if not by its own name.
CALLED = {"logger": "settings", "collection": "chosen", "s3_config": "chosen", "inference": "remote"}
# Told in telemetry as they are configured, and read nowhere else.
SHOWN = {
    "cluster.consensus.max_message_queue_size",
    "cluster.consensus.tick_period_ms",
    "cluster.p2p.connection_pool_size",
    "storage.hnsw_global_config.healing_threshold",
}


def section(title: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    start = re.search(rf"^(#+) {re.escape(title)}$", PAGE, re.MULTILINE)
    assert start is not None, f"docs/COMPATIBILITY.md has no section {title!r}"
    rest = PAGE[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest if end is None else rest[: end.start()]


def spans(title: str, pattern: str) -> set[str]:
    return {span for span in re.findall(r"`([^`]+)`", section(title)) if re.fullmatch(pattern, span)}


def routes(title: str) -> set[str]:
    return spans(title, r"(GET|PUT|POST|PATCH|DELETE) /\S*")


# --- tests --------------------------------------------------------------------------------------------


def named_tests() -> list[str]:
    return sorted(set(re.findall(r"`(tests\w*/[\w/]+\.py(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("named", named_tests())
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).is_file(), f"docs/COMPATIBILITY.md names {path}, which does not exist"
    if name:
        text = (ROOT / path).read_text()
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path} has no {name}"


@pytest.mark.parametrize("number", range(1, TOPICS + 1))
def test_every_topic_tells_what_shows_it_and_what_differs(number: int) -> None:
    (title,) = re.findall(rf"^## ({number}\. .*)$", PAGE, re.MULTILINE)
    text = section(title)
    assert re.search(r"`tests\w*/", text), f"section {title!r} names no test"
    assert "Differences" in text, f"section {title!r} does not say what differs"


# --- the API ------------------------------------------------------------------------------------------


async def served_routes(storage: Path) -> set[str]:
    async with (
        serving(storage, ServiceSettings()) as applications,
        TestClient(AppServer(applications.rest[0])) as client,
    ):
        document = await (await client.get("/openapi.json")).json()
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


async def test_every_route_is_listed_and_every_listed_one_is_there(tmp_path: Path) -> None:
    served, ours, missing = await served_routes(tmp_path), routes("Ours"), routes("Not served")
    listed = routes("Served")
    assert served - listed - ours == set(), "served; list them in docs/COMPATIBILITY.md, under Routes"
    assert (listed | ours) - served == set(), "listed as served, and not there"
    assert listed <= QDRANT_ROUTES, "not Qdrant's: list them under Ours"
    assert QDRANT_ROUTES - listed == missing, "Qdrant's, and neither served nor listed under Not served"


def test_every_method_is_listed_and_every_listed_one_is_there() -> None:
    served = {
        f"{service.name}.{method.name}"
        for service in (QDRANT, COLLECTIONS, POINTS, SNAPSHOTS)
        for method in service.methods
    }
    pattern = r"(Qdrant|Collections|Points|Snapshots)\.\w+"
    listed, missing = spans("Methods served", pattern), spans("Methods not served", pattern)
    assert listed | missing == served
    assert not listed & missing


# --- settings -----------------------------------------------------------------------------------------


def keys(kind: type[msgspec.Struct] = Settings, before: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        key = f"{before}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys(field.type, f"{key}.")
        else:
            yield key


def settings_read() -> set[tuple[str, str]]:
    """Attributes with the name of what they are read from, anywhere but where settings are merely refused or
    warned about."""
    found: set[tuple[str, str]] = set()
    for path in (ROOT / "vecraft").rglob("*.py"):
        tree = ast.parse(path.read_text())
        if path.name == "settings.py":
            tree.body = [
                each for each in tree.body if getattr(each, "name", "") not in ("unmet", "without_effect")
            ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute | ast.Name):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id
                found.add((owner.lstrip("_"), node.attr))
    return found


def is_read(key: str, read: set[tuple[str, str]]) -> bool:
    section, _, name = f"settings.{key}".rpartition(".")
    section = section.rpartition(".")[2]
    return (section, name) in read or (CALLED.get(section, ""), name) in read


def test_every_setting_is_used_or_listed() -> None:
    read, listed = settings_read(), spans("Settings without effect", r"[a-z_0-9]+(\.[a-z_0-9]+)*")
    unused = {key for key in keys() if not is_read(key, read) and not key.startswith(WHOLE)} | SHOWN
    assert unused - listed == set(), "used nowhere: list them under Settings without effect"
    assert listed <= set(keys()), "no such setting"
    assert listed - unused == set(), "used after all: strike them under Settings without effect"
    assert all(is_read(part, read) for part in WHOLE)


# --- the README ---------------------------------------------------------------------------------------


def test_the_readme_and_the_page_agree_on_what_is_missing() -> None:
    assert "docs/COMPATIBILITY.md" in README
    rows = [line for line in README.splitlines() if line.startswith("|") and "not yet" in line]
    missing = re.findall(r"^- Not yet: (.+?)[.:]", PAGE, re.MULTILINE)
    untold = [thing for thing in missing if not any(thing.lower() in row.lower() for row in rows)]
    assert untold == [], "the page says not yet, and no row of the README's table does"
    surplus = [row for row in rows if not any(thing.lower() in row.lower() for thing in missing)]
    assert surplus == [], "the README says not yet, and the page does not"
