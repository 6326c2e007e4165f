"""Removing old backups from a repository, and the contents that no other one needs.

Lives here: which go (pure), and in which order: a manifest goes before the contents that it alone names, so
whatever is interrupted, every manifest that is there is complete; the next time removes what was left.
May not live here: that nobody writes there, or reads what goes, meanwhile: the caller sees to that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from node.backup.repository import Manifest, Repository
from node.client.backups import Pruned, Retention
from protos.errors import storage_failed
from protos.files import sync_directory


def prune(repository: Repository, retention: Retention, *, now_ms: int, spared: Collection[str]) -> Pruned:
    """``spared``: what stays for another reason. Blocking.

    Raises: BadInput if a manifest cannot be read: it may name anything, so nothing is removed; ServiceError.
    """
    manifests = {name: repository.manifest(name) for name in repository.names()}
    doomed = doomed_of(manifests, retention, now_ms=now_ms, spared=spared)
    kept = [manifest for name, manifest in manifests.items() if name not in doomed]
    try:
        repository.clear()
        for name in doomed:
            (repository.root / name).unlink()
        if doomed:
            sync_directory(repository.root)
        freed = sum(_removed(repository, named_by(kept)))
    except OSError as error:
        raise storage_failed("old backups cannot be removed", error) from error
    return Pruned(doomed, freed)


def doomed_of(
    manifests: Mapping[str, Manifest], retention: Retention, *, now_ms: int, spared: Collection[str]
) -> list[str]:
    """Names, oldest first: those beyond the newest ``keep`` that are older than is said, if it is."""
    by_age = sorted(manifests, key=lambda name: (manifests[name].created_ms, name))
    beyond = by_age[: -retention.keep]
    if retention.older_than_ms is not None:
        newest_ms = now_ms - retention.older_than_ms
        beyond = [name for name in beyond if manifests[name].created_ms < newest_ms]
    return [name for name in beyond if name not in spared]


def named_by(manifests: Collection[Manifest]) -> frozenset[str]:
    """The contents that they need."""
    return frozenset(
        file.sha256
        for manifest in manifests
        for collection in manifest.collections
        for shard in collection.shards
        for file in shard.files
    )


def _removed(repository: Repository, needed: frozenset[str]) -> Iterator[int]:
    """Remove contents that are not needed. Yields: the size of each."""
    for path in repository.contents():
        if path.name not in needed:
            size = path.stat().st_size
            path.unlink()
            yield size
