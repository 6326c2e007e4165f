"""Writes of points (reference 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protos.qdrant import updates_pb2 as wire
from router.auth.needs import Need
from router.grpc.convert import updates
from router.grpc.convert.options import target, write_options
from router.grpc.methods import Call, Handler, Methods, Served
from router.points import Draft, PointOperations


def update_handlers(points: PointOperations) -> Methods:
    return {
        "Upsert": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.upsert)),
        "Delete": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.delete)),
        "UpdateVectors": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.update_vectors)),
        "DeleteVectors": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.delete_vectors)),
        "SetPayload": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.set_payload)),
        "OverwritePayload": Served(
            Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.overwrite_payload)
        ),
        "DeletePayload": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.delete_payload)),
        "ClearPayload": Served(Need.WRITE_POINTS_OF_COLLECTION, _change(points, updates.clear_payload)),
        "UpdateBatch": Served(Need.WRITE_POINTS_OF_COLLECTION, _batch(points)),
    }


def _change(points: PointOperations, convert: Callable[[Any], Draft]) -> Handler:
    async def apply(request: Any, call: Call) -> wire.PointsOperationResponse:
        name, options = target(request), write_options(request, call)
        result = await points.apply(name, convert(request), options)
        return wire.PointsOperationResponse(result=updates.result_message(result))

    return apply


def _batch(points: PointOperations) -> Handler:
    async def apply(request: wire.UpdateBatchPoints, call: Call) -> wire.UpdateBatchResponse:
        name, options = target(request), write_options(request, call)
        drafts = updates.batch(request.operations)
        results = await points.apply_batch(name, drafts, options)
        return wire.UpdateBatchResponse(result=map(updates.result_message, results))

    return apply
