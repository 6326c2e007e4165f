"""A process with nothing but a cluster member in it, driven over its standard input.

``python -m tests_cluster.metadata_peer <directory> <port> <uri> <bootstrap or ->``. Each line in is a JSON
array, each line out the JSON answer: ``["propose", key, value]`` → null or an error's text;
``["state"]`` → the metadata keys of a linearizable read; ``["status"]`` → leader, role, voters, stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import structlog

from consensus.commands import SetClusterMetadata
from node.peer.member import Member, MemberOptions
from protos.errors import VecraftError


def give_up(_: str) -> None:
    os._exit(3)


async def answer(member: Member, request: list[Any]) -> Any:
    match request:
        case ["propose", key, value]:
            await member.log.propose(SetClusterMetadata(key, value), timeout_s=5)
            return None
        case ["state"]:
            return (await member.log.read(timeout_s=5)).metadata
        case ["status"]:
            status = member.log.status()
            own = member.identity.peer_id
            return {"peer_id": own, "leader": status.leader, "voters": status.voters}
    raise ValueError(request)


async def serve(directory: str, port: str, uri: str, bootstrap: str) -> None:
    options = MemberOptions(
        directory=Path(directory),
        host="127.0.0.1",
        port=int(port),
        uri=uri,
        bootstrap=() if bootstrap == "-" else (bootstrap,),
    )
    member = await Member.open(options, on_fatal=give_up)
    print(json.dumps("started"), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            result = await answer(member, json.loads(line))
        except VecraftError as error:
            result = str(error)
        print(json.dumps(result), flush=True)
    await member.close()


if __name__ == "__main__":
    # Threads that log would write into the middle of answers.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(serve(*sys.argv[1:5]))
