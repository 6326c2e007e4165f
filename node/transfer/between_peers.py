"""Bases over the peer port: the method ``base``, asked by a transfer's target, answered by its source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from consensus.state import Transfer, TransferMethod
from node.peer.calls import PeerCalls
from node.replica.opened import ReplicaFiles
from node.transfer.progress import TransferKey, Transfers
from node.transfer.receiving import Received, Report, receive_base
from node.transfer.sending import BaseSender
from node.transfer.wire import BaseRefused, BaseRequest, Form, decode_request, encode_request
from node.transfer.workshop import Workshop
from protos.errors import BadRequest

METHOD = "base"

FindReplica = Callable[[int, BaseRequest], ReplicaFiles]


def form_of(method: TransferMethod) -> Form:
    return Form.FILES if method is TransferMethod.SNAPSHOT else Form.RECORDS


def serve_bases(
    calls: PeerCalls,
    sender: BaseSender,
    transfers: Transfers,
    find: FindReplica,
    *,
    reads_files: Callable[[int], bool],
) -> None:
    """Answer members' requests. ``find`` gives the replica that the asking peer may copy. ``reads_files``:
    does that peer know the files as this program writes them? An older one is sent records instead.

    ``find`` raises ShardUnavailable if this node does not hold it, or the transfer is not (yet, any more) one
    of the cluster's state as this node knows it.
    """

    async def answer(peer_id: int, data: bytes) -> AsyncIterator[bytes]:
        try:
            request = decode_request(data)
        except BaseRefused as error:
            raise BadRequest(str(error)) from error
        form = request.form if reads_files(peer_id) else Form.RECORDS
        method = TransferMethod.SNAPSHOT if form is Form.FILES else TransferMethod.STREAM_RECORDS
        replica = find(peer_id, request)
        key = TransferKey(request.collection, request.shard_id, request.epoch)
        progress = transfers.begin(key, method)
        async with aclosing(sender.parts(replica, form, progress)) as parts:
            async for part in parts:
                yield part

    calls.handle_stream(METHOD, answer)


async def fetch_base(
    calls: PeerCalls,
    collection_uuid: str,
    transfer: Transfer,
    workshop: Workshop,
    *,
    report: Report | None = None,
) -> Received:
    """Copy the source's replica into a directory of ``workshop``, which is the caller's from then on.

    Raises: as ``receive_base`` and ``PeerCalls.stream``.
    """
    request = BaseRequest(collection_uuid, transfer.shard_id, transfer.epoch, form_of(transfer.method))
    parts = calls.stream(transfer.source, METHOD, encode_request(request))
    return await receive_base(parts, workshop.place(), workshop, report=report)
