"""``make screenshots``: the pictures of the documentation, of a cluster of three nodes with WordNet in it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.dashboard.data import SYNSETS, call, load_wordnet
from tests.dashboard.driver import Visit, browsing, picture, settled
from tests.live import ROOT, wait_for
from tests_cluster.cluster import clustered
from tests_cluster.view import View

FOLDER = ROOT / "docs/dashboard"
POINTS = 6432
PICTURE_KB_MAX = 150
HAND_HELD = (390, 844)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, clustered(Path(folder), 3) as cluster:
        url = cluster[0].url
        with View(cluster) as view:
            view.wait_joined(3)
            load_wordnet(url, points=POINTS, indexing_threshold_kb=1000, shard_number=6, replication_factor=2)
            view.wait_active(SYNSETS, replicas=12)
            _load_others(url)
            at = f"/collections/{SYNSETS}"
            wait_for(lambda: call(url, "GET", at)["status"] == "green", seconds=120, what="all graphs")
        with browsing() as browser:
            visit = Visit(browser, url)
            for name, take in PICTURES.items():
                take(visit)
                picture(visit.page, FOLDER / f"{name}.png")
                visit.size((1280, 860))
                visit.theme("light")
            visit.witness.complain()
    return _report()


def _load_others(url: str) -> None:
    """Collections of other kinds, for the list."""
    image = {"size": 512, "distance": "Cosine", "datatype": "float16"}
    text = {"size": 384, "distance": "Cosine"}
    configs = {
        "products": {"vectors": {"image": image, "text": text}, "sparse_vectors": {"words": {}}},
        "passages": {
            "vectors": {"size": 128, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}
        },
        "faces": {"vectors": {"size": 256, "distance": "Euclid"}},
    }
    for name, config in configs.items():
        call(url, "PUT", f"/collections/{name}", config)
    alias = {"create_alias": {"collection_name": SYNSETS, "alias_name": "synsets"}}
    call(url, "POST", "/collections/aliases", {"actions": [alias]})


def _page(*parts: str) -> Callable[[Visit], None]:
    def take(visit: Visit) -> None:
        settled(visit.go(*parts))

    return take


def _points(visit: Visit) -> None:
    page = visit.go("collections", SYNSETS, "points")
    page.get_by_label("How").select_option("Similar to an id")
    page.get_by_label("What").fill("478")
    page.get_by_role("button", name="Add condition").click()
    page.get_by_label("Field").fill("pos")
    page.get_by_label("Value", exact=True).fill("noun")
    page.get_by_role("button", name="Show", exact=True).click()
    page.locator(".point .badge").first.wait_for()
    settled(page)


def _map(visit: Visit, layout: str) -> None:
    page = visit.go("collections", SYNSETS, "map")
    settled(page)
    page.get_by_label("Layout").select_option(layout)
    expect(page.locator('.map-card[aria-busy="false"]')).to_be_visible(timeout=120_000)
    settled(page)
    box = page.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.locator(".map-details .point").wait_for()
    page.mouse.move(box["x"] + 4, box["y"] + 4)


def _pca(visit: Visit) -> None:
    _map(visit, "PCA")


def _neighbours(visit: Visit) -> None:
    visit.theme("dark")
    _map(visit, "Neighbours (UMAP)")


def _console(visit: Visit) -> None:
    page = visit.go("console")
    settled(page)
    for path, body in (
        ("/collections", ""),
        (f"/collections/{SYNSETS}/facet", '{"key": "category", "limit": 5}'),
        (f"/collections/{SYNSETS}/points/query", '{"query": 478, "limit": 3, "with_payload": ["lemmas"]}'),
    ):
        page.get_by_label("Method").select_option("POST" if body else "GET")
        page.get_by_role("combobox", name="Path").fill(path)
        page.keyboard.press("Escape")
        page.get_by_label("Body, as JSON").fill(body)
        page.get_by_role("button", name="Format").click()
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("button", name=path).first).to_be_visible()
        settled(page)


def _cluster(visit: Visit) -> None:
    page = visit.go("cluster")
    settled(page)
    page.get_by_label("Collection", exact=True).fill(SYNSETS)
    page.keyboard.press("Enter")
    page.get_by_text("Shard 5", exact=True).wait_for()
    settled(page)


def _keys(visit: Visit) -> None:
    url = visit.witness.url
    config = {"vectors": {"size": 384, "distance": "Cosine"}, "sharding_method": "custom"}
    call(url, "PUT", "/collections/customers", config)
    for key, shards in (("others", 3), ("acme", 1), ("globex", 1)):
        call(url, "PUT", "/collections/customers/shards", {"shard_key": key, "shards_number": shards})
    page = visit.go("cluster")
    settled(page)
    page.get_by_label("Collection", exact=True).fill("customers")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add shard key").click()
    page.get_by_role("dialog").get_by_label("Key").fill("initech")


def _quotas(visit: Visit) -> None:
    config = {"enabled": True, "max_resident_memory_percent": 80, "max_disk_usage_percent": 90}
    call(visit.witness.url, "PUT", "/quotas?wait=true", config)
    page = visit.go("cluster")
    usage = page.get_by_role("region", name="Memory and disk")
    usage.wait_for()
    settled(page)
    usage.scroll_into_view_if_needed()


def _backups(visit: Visit) -> None:
    visit.theme("dark")
    for _ in range(2):
        call(visit.witness.url, "POST", "/cluster/backups")
    page = visit.go("snapshots")
    page.get_by_role("region", name="Backups of the cluster").wait_for()
    settled(page)


def _tokens(visit: Visit) -> None:
    page = visit.go("tokens")
    page.get_by_label("API key that signs it").fill("an example of a key")
    page.get_by_label("Collection", exact=True).fill(SYNSETS)
    page.get_by_label("Subject").fill("ann")
    expect(page.get_by_label("Access token", exact=True)).to_contain_text(".")


def _snapshots(visit: Visit) -> None:
    call(visit.witness.url, "POST", f"/collections/{SYNSETS}/snapshots")
    settled(visit.go("collections", SYNSETS, "snapshots"))


def _narrow(visit: Visit) -> None:
    visit.size(HAND_HELD)
    visit.theme("dark")
    settled(visit.go("collections", SYNSETS, "points"))


def _create(visit: Visit) -> None:
    page = visit.go("collections")
    settled(page)
    page.get_by_role("button", name="Create collection").click()
    page.get_by_label("Name", exact=True).first.fill("articles")


PICTURES: dict[str, Callable[[Visit], None]] = {
    "collections": _page("collections"),
    "create": _create,
    "collection": _page("collections", SYNSETS),
    "points": _points,
    "map": _pca,
    "map-dark": _neighbours,
    "console": _console,
    "cluster": _cluster,
    "keys": _keys,
    "quotas": _quotas,
    "snapshots": _snapshots,
    "backups": _backups,
    "tokens": _tokens,
    "narrow": _narrow,
}


def _report() -> int:
    sizes = {path.name: path.stat().st_size // 1024 for path in sorted(FOLDER.glob("*.png"))}
    for name, size in sizes.items():
        print(f"{name:20} {size:4} kB")
    return int(any(size > PICTURE_KB_MAX for size in sizes.values()))


if __name__ == "__main__":
    sys.exit(main())
