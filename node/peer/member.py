"""A member of a cluster, put together: identity, peer port, links, calls, mail, metadata log, voters.

``Member.open`` is what the composition root calls in cluster mode. The order of starting: the identity of
this process, the peer port (others must reach it while it joins), founding or joining if need be, the
log. From then on the log's state says who the peers are and where; this keeps links, calls and mail in step
with it. What a leader does last is to hand over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
from msgspec import Struct
from msgspec.structs import replace as with_fields

from consensus import identity as identities
from consensus.commands import RegisterPeer
from consensus.identity import Identity
from consensus.log import RaftStatus
from consensus.membership import Keeper, NotAdmitted, Stranger, why_refuse, why_refuse_router
from consensus.raft_log import RaftLog
from consensus.state import FEATURE_LEVEL, ClusterState, NodeType, Peer, founding_state
from consensus.transitions import Events
from node.client.cluster import SendFailures
from node.peer import joining, service
from node.peer.addresses import AddressBook, normal_uri
from node.peer.cluster_client import serve_commit_index
from node.peer.feed import Feed
from node.peer.grpc_calls import GrpcCalls
from node.peer.joining import CannotJoin
from node.peer.lines import CONNECT_S
from node.peer.links import PeerLinks
from node.peer.mail import LinkMail
from node.peer.registrar import Registrar
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.errors import VecraftError
from protos.logger import get_logger
from protos.peer.peer_pb2 import Hello, Refusal
from protos.tasks import end_all

HAND_OVER_S = 1.0  # until a leader that stops goes anyway
HAND_OVER_RETRY_S = 0.05
ANNOUNCE_S = 3.0  # for one try to tell the cluster of this process
STOP_S = 0.5  # for calls that run when the peer port closes

_REASONS = {"stranger": Refusal.STRANGER, "stale": Refusal.STALE, "removed": Refusal.REMOVED}
_NOT_READY = Refusal(reason=Refusal.NOT_READY, text="this member is not of a running cluster")
_log = get_logger(__name__)


class MemberOptions(Struct, frozen=True, kw_only=True):
    """``uri`` and ``bootstrap`` as given: peers to join. If the first is this one, it founds a cluster
    when all the others are of none (reference 6.2 has it alone). ``founding``: the state to do that with.

    ``peer_id`` counts only for storage without an identity. ``reinit``: reference 6.2. ``rejoin``: storage
    of a peer that its cluster has removed is as good as none.
    """

    directory: Path
    host: str
    port: int
    uri: str | None = None
    bootstrap: tuple[str, ...] = ()
    bootstrap_timeout_s: float = 15.0
    reinit: bool = False
    rejoin: bool = False
    peer_id: int | None = None
    version: str = ""
    zone: str = ""
    node_type: NodeType = "Normal"
    founding: ClusterState | None = None
    connect_s: float = CONNECT_S  # how long a call waits for a connection (`cluster.connection_timeout_ms`)
    security: PeerSecurity = NO_SECURITY


class Member:
    """A running member: ``log`` is its metadata log, ``calls`` and ``mail`` are for what else the node has to
    say to other members. Use ``Member.open``.
    """

    def __init__(
        self, options: MemberOptions, identity: Identity, on_removed: Callable[[], None] = lambda: None
    ) -> None:
        self._options = options
        self._on_removed = on_removed
        self._identity = identity
        self._book = AddressBook(options.directory)
        self._own = _own_peer(options, identity, self._book)
        security = options.security
        self._links = PeerLinks(self, security=security)
        self.mail = LinkMail(_NodeDoor(self), security=security)
        self.calls = GrpcCalls(
            _CallsDoor(self), own=identity.peer_id, security=security, connect_s=options.connect_s
        )
        self.joined = False  # a cluster, by this start
        self._retired = False
        self._incarnations: dict[int, int] = {}  # the latest that each peer was seen to run as
        self._server: Any = None
        self._port = options.port
        self._log: RaftLog | None = None
        self._keeper: Keeper | None = None
        self._announcer: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        options: MemberOptions,
        *,
        on_fatal: Callable[[str], None],
        on_removed: Callable[[], None] = lambda: None,
    ) -> Member:
        """Start, and found or join a cluster if this storage is of none.

        Args:
            on_removed: called on the event loop, once, when the cluster has removed this peer.

        Raises: BootstrapRefused, CannotJoin, IdentityDamaged, what ``RaftLog.open`` raises, OSError.
        """
        identity = identities.load(options.directory)
        if identity is None or (identity.removed and options.rejoin):
            identity = identities.new_identity(options.peer_id)
        member = cls(options, identities.begin(options.directory, identity), on_removed)
        try:
            await member._start(on_fatal)
        except BaseException:
            await member.close()
            raise
        return member

    @property
    def log(self) -> RaftLog:
        assert self._log is not None
        return self._log

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def uri(self) -> str:
        return self._own.uri

    @property
    def port(self) -> int:
        """The one that was bound."""
        return self._port

    @property
    def send_failures(self) -> dict[str, SendFailures]:
        """Of Raft's streams, by URI (reference 14.2)."""
        failures = self._links.failures
        return {self._book.uri(peer_id) or str(peer_id): found for peer_id, found in failures.items()}

    def down_since_ms(self) -> dict[int, int]:
        """Peers at whose addresses nobody answers, and since when, by the monotonic clock."""
        return self._links.down_since_ms()

    async def close(self) -> None:
        if self._announcer is not None:
            await end_all([self._announcer])
        if self._keeper is not None:
            await self._keeper.close()
        if self._log is not None:
            await self.hand_over()
        await self.calls.close()
        await self.mail.close()
        await self._links.close()
        if self._log is not None:
            await self._log.close()
        if self._server is not None:
            await self._server.stop(STOP_S)

    async def hand_over(self) -> None:
        """Have another voter lead before this member goes: nobody need wait until its silence is noticed."""
        log = self.log
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                while (heirs := self._heirs(log.status())) and not log.status().stopped:
                    matched = await log.matched(heirs)
                    log.hand_over(max(heirs, key=lambda peer: (matched[peer], peer)))
                    await asyncio.sleep(HAND_OVER_RETRY_S)

    def _heirs(self, status: RaftStatus) -> list[int]:
        """Who may lead instead of this member; nobody if it does not lead."""
        if status.role != "Leader" or status.error is not None:
            return []
        return [peer for peer in status.voters if self._links.is_connected(peer)]

    # --- starting -----------------------------------------------------------------------------------------

    async def _start(self, on_fatal: Callable[[str], None]) -> None:
        await self._listen()
        contacts = await self._belong()
        directory = self._options.directory
        identities.drop_left_over(directory, self._identity)
        self._log = await RaftLog.open(
            identities.raft_directory(directory, self._identity),
            peer_id=self._identity.peer_id,
            incarnation=self._identity.incarnation,
            wire=self._links,
            on_fatal=on_fatal,
            contacts=contacts,
        )
        self.mail.start()
        feed = Feed(self._log)
        feed.serve(self.calls)
        serve_commit_index(self.calls, self._log, feed.known)
        self._log.subscribe(self._follow)
        self._follow(self._log.state, ())
        self._keeper = Keeper(self._log)
        self._announcer = asyncio.create_task(self._announce())

    async def _listen(self) -> None:
        registrar = Registrar(
            self._running_log,
            lambda: self._identity,
            down_since_ms=self.down_since_ms,
            security=self._options.security,
        )
        self._server = grpc.aio.server(
            options=service.SERVER_OPTIONS, interceptors=self._options.security.interceptors
        )
        self._server.add_generic_rpc_handlers(
            (
                service.links_handler(service.RAFT, self._links.accept),
                service.links_handler(service.MAIL, self.mail.accept),
                service.calls_handler(self.calls.serve_call, self.calls.serve_stream),
                service.membership_handler(registrar.add_peer, registrar.who_is_there),
            )
        )
        address = f"{self._options.host}:{self._options.port}"
        credentials = self._options.security.server_credentials
        try:
            if credentials is None:
                self._port = self._server.add_insecure_port(address)
            else:
                self._port = self._server.add_secure_port(address, credentials())
        except RuntimeError as error:
            raise OSError(f"the peer port cannot be opened: {error}") from error
        await self._server.start()

    async def _belong(self) -> tuple[int, ...]:
        """Be of a cluster. Returns: peers to learn from."""
        options, own = self._options, self._own
        others, founder = _others(options.bootstrap, own.uri)
        if options.reinit and self._identity.cluster_id:
            if not others:
                self._identity = joining.start_anew(options.directory, self._identity, own)
            else:
                self._identity = with_fields(self._identity, cluster_id="", registered_index=0)
                identities.save(options.directory, self._identity)
        if self._identity.cluster_id:
            return ()
        joined = others and await joining.join(
            options.directory,
            self._identity,
            joining.registration(own, port=self._port, cluster_id=""),
            self._book,
            bootstrap=others,
            founder=founder,
            timeout_s=options.bootstrap_timeout_s,
            security=options.security,
        )
        if not joined:
            self._found()
            return ()
        self._identity, accepted = joined
        self.joined = True
        self._own = with_fields(own, uri=accepted.uri)
        return tuple(joining.uris(accepted))

    def _found(self) -> None:
        own = self._own
        if not own.uri:
            raise CannotJoin("the first peer of a cluster needs --uri, the URI at which others reach it")
        state = self._options.founding or founding_state(own)
        self._identity = joining.found(self._options.directory, self._identity, own, state)

    # --- keeping in step with the log ---------------------------------------------------------------------

    def _follow(self, state: ClusterState, _: Events) -> None:
        self._book.learn({peer.id: peer.uri for peer in state.peers.values() if peer.id != self._own.id})
        self._links.review()
        self.mail.review()
        if not self._retired:
            self.mail.watch(state.peers.keys() - {self._own.id})
        for peer in state.peers.values():
            self._runs_as(peer.id, peer.incarnation)
        late = self.log.applied_index < self._identity.registered_index
        if state.peers and self._own.id not in state.peers and not late:
            self._retire()

    def _runs_as(self, peer_id: int, incarnation: int) -> None:
        if incarnation > self._incarnations.get(peer_id, 0):
            self._incarnations[peer_id] = incarnation
            self.calls.renew(peer_id, incarnation)

    def _retire(self) -> None:
        if self._retired:
            return
        self._retired = True
        self.mail.watch(())
        _log.warning("removed_from_cluster", peer_id=self._own.id)
        self.log.retire("this peer was removed from the cluster")
        self._identity = with_fields(self._identity, removed=True)
        with contextlib.suppress(OSError):  # then it hears so again after a restart
            identities.save(self._options.directory, self._identity)
        self._on_removed()
        if self._announcer is not None:
            self._announcer.cancel()

    async def _announce(self) -> None:
        """Tell the cluster of this process: its incarnation, and its URI, which may be another one now."""
        own = self._own
        command = RegisterPeer(
            own.id,
            uri=own.uri,
            zone=own.zone,
            version=own.version,
            incarnation=own.incarnation,
            node_type=own.node_type,
            feature_level=own.feature_level,
        )
        while not joining.same_peer(self.log.state.peers.get(own.id), own):
            try:
                await self.log.propose(command, timeout_s=ANNOUNCE_S)
            except VecraftError as error:
                _log.info("announcement_failed", error=str(error))
                await self._announce_elsewhere()

    async def _announce_elsewhere(self) -> None:
        """The others may not know where this peer is now, nor this one where they are."""
        others, _ = _others(self._options.bootstrap, self._own.uri)
        if not others:
            return
        request = joining.registration(self._own, port=self._port, cluster_id=self._cluster_id())
        with contextlib.suppress(CannotJoin):
            accepted = await joining.ask(
                request,
                bootstrap=others,
                timeout_s=ANNOUNCE_S,
                security=self._options.security,
            )
            if accepted is not None:
                self._book.learn(joining.uris(accepted))

    # --- ``node.peer.door.Door`` --------------------------------------------------------------------------

    def hello(self, peer_id: int) -> Hello:
        return Hello(
            cluster_id=self._identity.cluster_id,
            peer_id=self._identity.peer_id,
            incarnation=self._identity.incarnation,
            wanted_peer_id=peer_id,
            registered_index=self._identity.registered_index,
            uri=self._own.uri,
        )

    def why_refuse(self, hello: Hello) -> Refusal | None:
        return self._why_refuse(hello, voters=() if self._log is None else self._log.status().voters)

    def why_refuse_to_node(self, hello: Hello) -> Refusal | None:
        """As ``why_refuse``, but a removed peer that still has a vote has a say in Raft alone."""
        return self._why_refuse(hello, voters=())

    def why_refuse_to_caller(self, hello: Hello) -> Refusal | None:
        """As ``why_refuse_to_node``; routers, which are no peers, may call."""
        if not hello.router:
            return self.why_refuse_to_node(hello)
        if self._log is None:
            return _NOT_READY
        refused = why_refuse_router(
            _stranger(hello),
            cluster_id=self._identity.cluster_id,
            own=self._identity.peer_id,
            state=self._log.state,
            stopped=self._retired,
        )
        return None if refused is None else _refusal(refused)

    def _why_refuse(self, hello: Hello, *, voters: Collection[int]) -> Refusal | None:
        if self._log is None:
            return _NOT_READY
        if hello.incarnation < self._incarnations.get(hello.peer_id, 0):
            return Refusal(reason=Refusal.STALE, text="a newer process runs under this id")
        refused = why_refuse(
            _stranger(hello),
            cluster_id=self._identity.cluster_id,
            own=self._identity.peer_id,
            state=self._log.state,
            voters=voters,
            applied=self._log.applied_index,
        )
        return None if refused is None else _refusal(refused)

    def uri_of(self, peer_id: int) -> str | None:
        return self._book.uri(peer_id)

    def met(self, hello: Hello) -> None:
        self._book.learn({hello.peer_id: hello.uri})
        self._runs_as(hello.peer_id, hello.incarnation)

    def refused(self, peer_id: int, refusal: Refusal) -> None:
        if not self._retired:
            _log.warning("peer_refuses_this_one", peer=peer_id, reason=refusal.text)
        if refusal.reason == Refusal.REMOVED:
            self._retire()

    def _running_log(self) -> RaftLog | None:
        return self._log

    def _cluster_id(self) -> str:
        return self._identity.cluster_id


class _NodeDoor:
    """The ``Door`` to the rest of the node: to mail."""

    def __init__(self, member: Member) -> None:
        self.hello, self.uri_of = member.hello, member.uri_of
        self.met, self.refused = member.met, member.refused
        self.why_refuse = member.why_refuse_to_node


class _CallsDoor(_NodeDoor):
    """To calls, which routers may make, too."""

    def __init__(self, member: Member) -> None:
        super().__init__(member)
        self.why_refuse = member.why_refuse_to_caller


def _own_peer(options: MemberOptions, identity: Identity, book: AddressBook) -> Peer:
    given = normal_uri(options.uri) if options.uri else ""
    return Peer(
        identity.peer_id,
        uri=given or book.uri(identity.peer_id) or "",
        zone=options.zone,
        version=options.version,
        incarnation=identity.incarnation,
        node_type=options.node_type,
        feature_level=FEATURE_LEVEL,
    )


def _others(bootstrap: Sequence[str], own_uri: str) -> tuple[tuple[str, ...], bool]:
    """Whom to ask, and may this peer found a cluster when they are all of none?"""
    uris = [normal_uri(uri) for uri in bootstrap]
    others = tuple(given for given, uri in zip(bootstrap, uris, strict=True) if uri != own_uri)
    return others, not others or uris[0] == own_uri


def _stranger(hello: Hello) -> Stranger:
    return Stranger(
        hello.cluster_id, hello.peer_id, hello.incarnation, hello.wanted_peer_id, hello.registered_index
    )


def _refusal(refused: NotAdmitted) -> Refusal:
    return Refusal(reason=_REASONS[refused.kind], text=refused.text)
