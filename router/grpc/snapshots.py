"""The service ``qdrant.Snapshots``: of collections and the whole storage; shards have REST alone."""

from __future__ import annotations

from datetime import UTC, datetime

from protos.qdrant import snapshots_pb2 as pb
from router.auth.needs import Need
from router.grpc.methods import Call, Methods, Served
from router.snapshots.naming import WHOLE, SnapshotFile
from router.snapshots.operations import SnapshotOperations
from router.snapshots.whole import WholeSnapshots


def snapshot_handlers(snapshots: SnapshotOperations, whole: WholeSnapshots) -> Methods:
    handlers = _SnapshotHandlers(snapshots, whole)
    return {
        "Create": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.create),
        "List": Served(Need.READ_EXTRAS_OF_COLLECTION, handlers.list),
        "Delete": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.delete),
        "CreateFull": Served(Need.GLOBAL_MANAGE, handlers.create_full),
        "ListFull": Served(Need.GLOBAL_READ, handlers.list_full),
        "DeleteFull": Served(Need.GLOBAL_MANAGE, handlers.delete_full),
    }


class _SnapshotHandlers:
    def __init__(self, snapshots: SnapshotOperations, whole: WholeSnapshots) -> None:
        self._snapshots, self._whole = snapshots, whole

    async def create(self, request: pb.CreateSnapshotRequest, _call: Call) -> pb.CreateSnapshotResponse:
        made = await self._snapshots.finish(
            self._snapshots.create(request.collection_name), "create snapshot"
        )
        return pb.CreateSnapshotResponse(snapshot_description=_described(made))

    async def list(self, request: pb.ListSnapshotsRequest, _call: Call) -> pb.ListSnapshotsResponse:
        found = await self._snapshots.list(self._snapshots.folder(request.collection_name))
        return pb.ListSnapshotsResponse(snapshot_descriptions=map(_described, found))

    async def delete(self, request: pb.DeleteSnapshotRequest, _call: Call) -> pb.DeleteSnapshotResponse:
        folder = self._snapshots.folder(request.collection_name)
        await self._snapshots.delete(folder, request.snapshot_name)
        return pb.DeleteSnapshotResponse()

    async def create_full(
        self, _request: pb.CreateFullSnapshotRequest, _call: Call
    ) -> pb.CreateSnapshotResponse:
        made = await self._snapshots.finish(self._whole.create(), "create full snapshot")
        return pb.CreateSnapshotResponse(snapshot_description=_described(made))

    async def list_full(self, _request: pb.ListFullSnapshotsRequest, _call: Call) -> pb.ListSnapshotsResponse:
        found = await self._snapshots.list(WHOLE)
        return pb.ListSnapshotsResponse(snapshot_descriptions=map(_described, found))

    async def delete_full(
        self, request: pb.DeleteFullSnapshotRequest, _call: Call
    ) -> pb.DeleteSnapshotResponse:
        await self._snapshots.delete(WHOLE, request.snapshot_name)
        return pb.DeleteSnapshotResponse()


def _described(file: SnapshotFile) -> pb.SnapshotDescription:
    created = None
    if file.creation_time is not None:
        created = datetime.fromisoformat(file.creation_time).replace(tzinfo=UTC)
    return pb.SnapshotDescription(
        name=file.name, creation_time=created, size=file.size, checksum=file.checksum
    )
