"""The storage folder: may it be used, is there room, who has it, does this program know its formats?"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct

from consensus import identity as identities
from consensus.identity import IdentityDamaged
from vecraft.doctor.findings import Finding

CHECK = "storage"
REPLICA_FORMAT = 1  # of ``replica.json``
FREE_BYTES_LOW, FREE_BYTES_LEAST = 5 << 30, 512 << 20
FREE_SHARE_LOW = 0.1
REMOTE_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"})


class _Replica(Struct, frozen=True):
    format: int


class StorageFacts(Struct, frozen=True, kw_only=True):
    """``in_use``: another process holds the lock. ``cluster_id``: of the cluster it belongs to, else ""."""

    path: Path
    exists: bool
    writable: bool
    total_bytes: int = 0
    free_bytes: int = 0
    in_use: bool = False
    file_system: str = ""
    cluster_id: str = ""
    unreadable: tuple[str, ...] = ()  # identities and replicas: what is wrong with each


def look(path: Path) -> StorageFacts:
    """``path`` may not exist yet: then its nearest folder that does is where it would be made."""
    home = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    usage = shutil.disk_usage(home)
    cluster_id, unreadable = _identity(path / "cluster")
    return StorageFacts(
        path=path,
        exists=path.exists(),
        writable=home.is_dir() and os.access(home, os.W_OK | os.X_OK),
        total_bytes=usage.total,
        free_bytes=usage.free,
        in_use=_is_locked(path / ".lock"),
        file_system=_file_system(home),
        cluster_id=cluster_id,
        unreadable=(*unreadable, *_unreadable_replicas(path / "collections")),
    )


def judge(facts: StorageFacts, *, clustered: bool) -> list[Finding]:
    findings: list[Finding] = []
    if not facts.writable:
        findings.append(
            Finding(
                CHECK,
                "error",
                f"{facts.path.absolute()} cannot be written by this user",
                "a server that is run by this user does not start",
                f"chown -R {_user()} {facts.path.absolute()}" if facts.exists else f"mkdir -p {facts.path}",
            )
        )
    findings += _room(facts)
    if facts.file_system in REMOTE_FILE_SYSTEMS:
        why = "memory-mapped files and locks on it are slow or wrong, and a sync may not reach a disk"
        mend = "set storage.storage_path to a folder on a local disk"
        findings.append(Finding(CHECK, "warning", f"{facts.path} is on {facts.file_system}", why, mend))
    if facts.cluster_id and not clustered:
        what = f"{facts.path} belongs to a cluster, but cluster.enabled is not set"
        mend = "export VECRAFT__CLUSTER__ENABLED=true"
        findings.append(Finding(CHECK, "error", what, "a server does not start on it", mend))
    for problem in facts.unreadable:
        why = "it was damaged, or written by another version; the server does not open what it is about"
        mend = (
            "start the version that wrote it, or restore a snapshot; in a cluster remove that shard's folder"
        )
        findings.append(Finding(CHECK, "error", problem, why, mend))
    return findings


def _room(facts: StorageFacts) -> list[Finding]:
    if facts.free_bytes >= min(FREE_BYTES_LOW, facts.total_bytes * FREE_SHARE_LOW):
        return []
    return [
        Finding(
            CHECK,
            "error" if facts.free_bytes < FREE_BYTES_LEAST else "warning",
            f"{_gib(facts.free_bytes)} of {_gib(facts.total_bytes)} are free where {facts.path} is",
            "optimizations write what they build beside what was; without any room, writes are refused",
            f"du -xh -d 2 {facts.path} | sort -h | tail    # then delete, or move the storage",
        )
    ]


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _identity(directory: Path) -> tuple[str, tuple[str, ...]]:
    try:
        found = identities.load(directory)
    except (IdentityDamaged, OSError) as error:
        return "", (str(error),)
    return ("" if found is None else found.cluster_id), ()


def _unreadable_replicas(collections: Path) -> list[str]:
    problems = []
    for path in sorted(collections.glob("*/*/replica.json")):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_Replica)
        except (OSError, msgspec.DecodeError) as error:
            problems.append(f"{path} cannot be read: {error}")
            continue
        if found.format != REPLICA_FORMAT:
            problems.append(f"{path} has format {found.format}, this program knows {REPLICA_FORMAT}")
    return problems


def _file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that holds ``path``; "" where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    resolved = str(path.resolve())
    holding = [(point, kind) for _, point, kind, *_ in lines if _holds(point, resolved)]
    return max(holding, key=lambda each: len(each[0]), default=("", ""))[1]


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _user() -> str:
    return f"{os.getuid()}:{os.getgid()}"
