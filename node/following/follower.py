"""A router's connection to the cluster: finding it, following one of its peers, and then the next one.

As ``node.peer.member`` is for a peer. Beginning needs one URI of ``bootstrap`` at which a member answers;
from then on the state says where the peers are. A router that has lost the peer it followed goes on with what
it knows, and counts as ready for ``GRACE_S`` more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from msgspec import Struct

from consensus.identity import random_peer_id
from consensus.state import FEATURE_LEVEL, LEVEL_OF_ROUTERS, ClusterState
from consensus.transitions import Events
from node.following.copy import Parted, TooNew
from node.following.course import Candidate, Watched, candidates, next_to_follow, pause_s, watched, why_leave
from node.following.followed_log import FollowedLog
from node.peer import feed_wire as wire
from node.peer import service
from node.peer.addresses import address_of, normal_uri
from node.peer.grpc_calls import GrpcCalls
from node.peer.lines import CONNECT_S
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.errors import ShardUnavailable, VecraftError
from protos.logger import get_logger
from protos.peer.peer_pb2 import Hello, Refusal
from protos.tasks import end_all

SILENT_S = 1.5  # a peer tells something every ``feed.TELL_S``; one that does not is left
RETRY_S = 0.1  # for telling a peer again what is known here
WHO_S = 2.0
KNOWN_S = 2.0  # for telling a peer what is known here
GRACE_S = 10.0
ELSEWHERE_S = 10.0  # that long the addresses may answer for another cluster

_log = get_logger(__name__)


class NoCluster(Exception):
    """Nobody to follow; the text tells the operator why."""


class FollowerOptions(Struct, frozen=True, kw_only=True):
    bootstrap: tuple[str, ...]
    bootstrap_timeout_s: float = 15.0
    version: str = ""
    connect_s: float = CONNECT_S
    security: PeerSecurity = NO_SECURITY


class Follower:
    """``log`` is the router's metadata log, ``calls`` are its way to the peers. Use ``Follower.open``.

    It is its calls' ``Door``, and its log's ``Followed``.
    """

    def __init__(self, options: FollowerOptions, on_fatal: Callable[[str], None]) -> None:
        self._options, self._on_fatal = options, on_fatal
        self._bootstrap = tuple(map(normal_uri, options.bootstrap))
        self._rng = random.SystemRandom()
        self._own = random_peer_id()
        self._cluster_id = ""
        self._uris: dict[int, str] = {}
        self._incarnations: dict[int, int] = {}
        self._failed_at_s: dict[str, float] = {}
        self._told: dict[str, str] = {}  # why each was left, as logged
        self._misses = 0  # tries since somebody was followed
        self._why = "nobody was asked yet"
        self._peer: int | None = None
        self._heard_s: float | None = None
        self._elsewhere_since_s: float | None = None
        self._confirmed = False
        self._begun = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.calls = GrpcCalls(self, own=self._own, security=options.security, connect_s=options.connect_s)
        self.log = FollowedLog(self._own, self)
        self.log.subscribe(self._changed)

    @classmethod
    async def open(cls, options: FollowerOptions, *, on_fatal: Callable[[str], None]) -> Follower:
        """Return when the cluster's state is known. ``on_fatal``: called once when there is no going on.

        Raises: NoCluster if there is none within ``bootstrap_timeout_s``.
        """
        follower = cls(options, on_fatal)
        follower._tasks.append(asyncio.create_task(follower._run(), name="follow the cluster"))
        follower._tasks.append(asyncio.create_task(follower._confirm(), name="confirm the state"))
        try:
            async with asyncio.timeout(options.bootstrap_timeout_s):
                await follower._begun.wait()
        except TimeoutError:
            await follower.close()
            raise NoCluster(
                f"no cluster to follow was found within {options.bootstrap_timeout_s:g} s at "
                f"{', '.join(options.bootstrap)}: {follower._why}"
            ) from None
        except BaseException:
            await follower.close()
            raise
        return follower

    async def ready(self) -> bool:
        """Does this router know the cluster, as of now or a moment ago, and may it speak to all its peers?"""
        level = self.log.state.feature_level
        return self._confirmed and level >= LEVEL_OF_ROUTERS and self.why_not() is None

    async def close(self) -> None:
        await end_all(self._tasks)
        await self.log.close()
        await self.calls.close()

    # --- following ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            candidate = next_to_follow(self._candidates(), self._failed_at_s, self._rng)
            assert candidate is not None, "there is one of bootstrap at least"
            try:
                await self._follow(candidate)
            except (TooNew, _Elsewhere) as error:
                self._left(candidate, error)
                if isinstance(error, TooNew) or self._is_elsewhere():
                    self._on_fatal(str(error))
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, another peer may do better
                if isinstance(error, Parted):
                    self.log.forget()
                if not isinstance(error, VecraftError | TimeoutError | Parted | _NoAnswer):
                    _log.exception("following_failed", uri=candidate.uri)
                self._left(candidate, error)
            await asyncio.sleep(pause_s(self._misses))
            self._misses += 1

    def _candidates(self) -> list[Candidate]:
        return candidates(self.log.state.peers.values(), self._bootstrap)

    def _left(self, candidate: Candidate, error: Exception) -> None:
        known = {each.uri for each in self._candidates()}
        self._failed_at_s = {uri: at_s for uri, at_s in self._failed_at_s.items() if uri in known}
        self._failed_at_s[candidate.uri] = time.monotonic()
        self._why = f"{candidate.uri}: {error}"
        if self._told.get(candidate.uri) != str(error):
            self._told[candidate.uri] = str(error)
            _log.info("not_followed", uri=candidate.uri, peer=candidate.peer_id, reason=str(error))

    async def _follow(self, candidate: Candidate) -> None:
        """Until it is lost, or to be left. Raises: what says why."""
        peer_id = candidate.peer_id
        if peer_id is None or self.why_not() is not None:
            # Whoever was there long ago: by now it may be another one, of whatever cluster.
            peer_id = await self._who_is_at(candidate.uri)
        self._uris[peer_id] = candidate.uri
        ask = wire.encode_ask(wire.Ask(FEATURE_LEVEL, self._options.version))
        self.log.begin_anew()
        telling = asyncio.create_task(self._tell_what_is_known(peer_id), name="tell what is known")
        try:
            stream: Any = self.calls.stream(peer_id, wire.FOLLOW, ask)
            async with aclosing(stream) as messages:
                seen = Watched()
                while True:
                    async with asyncio.timeout(SILENT_S + (0 if self._peer else self._options.connect_s)):
                        data = await anext(messages, None)
                    if data is None:
                        raise ShardUnavailable("it has ended the connection")
                    seen = self._heard(peer_id, wire.decode_parts(data), seen)
        except TimeoutError:
            raise ShardUnavailable(f"it said nothing for {SILENT_S:g} s") from None
        finally:
            self._peer = None
            telling.cancel()

    def _heard(self, peer_id: int, parts: list[wire.Part], seen: Watched) -> Watched:
        """Raises: Parted, TooNew; ShardUnavailable: the peer is to be left."""
        now_s = time.monotonic()
        for part in parts:
            if self.log.told(part):
                self._to_tell.set()
            if isinstance(part, wire.Told):
                seen = watched(seen, part, index=self.log.applied_index, now_s=now_s)
        if self.log.applied_index and self._peer is None:
            self._peer = peer_id
            self._elsewhere_since_s, self._misses = None, 0
            self._told.clear()
            self._to_tell.set()
            _log.info("following", peer=peer_id, index=self.log.applied_index)
            self._begun.set()
        self._heard_s = now_s
        reason = why_leave(seen, now_s)
        if reason is not None:
            raise ShardUnavailable(reason)
        return seen

    async def _tell_what_is_known(self, peer_id: int) -> None:
        """Peers wait for that before they say that a change is known everywhere."""
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            known = wire.encode_index(self.log.applied_index)
            try:
                await self.calls.call(peer_id, wire.KNOWN, known, timeout_s=KNOWN_S)
            except VecraftError as error:
                _log.info("not_told_what_is_known", peer=peer_id, reason=str(error))
                await asyncio.sleep(RETRY_S)
                self._to_tell.set()

    async def _confirm(self) -> None:
        """The first peer may itself not have known the latest state."""
        while not self._confirmed:
            try:
                await self.log.barrier()
                self._confirmed = True
            except VecraftError as error:
                _log.info("state_not_confirmed", reason=str(error))

    # --- who is there ---------------------------------------------------------------------------------------

    async def _who_is_at(self, uri: str) -> int:
        """Raises: _NoAnswer, _Elsewhere."""
        security = self._options.security
        channel = service.channel(address_of(uri), security)
        try:
            answer = await service.call_who_is_there(channel, timeout_s=WHO_S, metadata=security.metadata)
        except grpc.aio.AioRpcError as error:
            raise _NoAnswer(error.details() or str(error.code())) from error
        finally:
            await channel.close()
        if not answer.cluster_id:
            raise _NoAnswer("it is of no cluster itself")
        if self._cluster_id not in ("", answer.cluster_id):
            raise _Elsewhere(
                f"{uri} is of cluster {answer.cluster_id}, this router follows {self._cluster_id}"
            )
        self._cluster_id = answer.cluster_id
        return int(answer.peer_id)

    def _is_elsewhere(self) -> bool:
        """Have the addresses answered for another cluster, and nobody for this one, for long?"""
        now_s = time.monotonic()
        if self._elsewhere_since_s is None:
            self._elsewhere_since_s = now_s
        return now_s - self._elsewhere_since_s > ELSEWHERE_S

    def _changed(self, state: ClusterState, _: Events) -> None:
        self._uris.update({peer.id: peer.uri for peer in state.peers.values() if peer.uri})
        self._uris = {peer: uri for peer, uri in self._uris.items() if peer in state.peers}
        for peer in state.peers.values():
            if peer.incarnation > self._incarnations.get(peer.id, 0):
                self._incarnations[peer.id] = peer.incarnation
                self.calls.renew(peer.id, peer.incarnation)

    # --- ``node.following.followed_log.Followed`` ----------------------------------------

    async def ask(self, method: str, request: bytes, *, timeout_s: float) -> bytes:
        peer_id = self._peer
        if peer_id is None:
            raise ShardUnavailable(f"this router follows nobody at the moment ({self._why})")
        return await self.calls.call(peer_id, method, request, timeout_s=timeout_s)

    def why_not(self) -> str | None:
        if self._peer is not None:
            return None
        lately = self._heard_s is not None and time.monotonic() - self._heard_s < GRACE_S
        return None if lately else f"nobody is followed: {self._why}"

    # --- ``node.peer.door.Door`` ----------------------------------------

    def hello(self, peer_id: int) -> Hello:
        return Hello(cluster_id=self._cluster_id, peer_id=self._own, wanted_peer_id=peer_id, router=True)

    def why_refuse(self, hello: Hello) -> Refusal | None:  # noqa: ARG002
        return Refusal(reason=Refusal.NOT_READY, text="this is a router, which nobody calls")

    def uri_of(self, peer_id: int) -> str | None:
        return self._uris.get(peer_id)

    def met(self, hello: Hello) -> None:
        """Nobody presents himself to a router."""

    def refused(self, peer_id: int, refusal: Refusal) -> None:
        """Told to who called."""


class _NoAnswer(Exception):
    """Nobody is there, or nobody who knows a cluster."""


class _Elsewhere(Exception):
    """Who is there is of another cluster."""
