"""Members that come, go, and lose their disks, on top of all other faults.

Peers are part of the replicated state, as in the product: a command registers or removes one, and whoever
leads makes the voters follow with ``consensus.membership.next_change``. A member whose disk is lost never
comes back; its removal is proposed, and another one joins. One disk is lost at a time: the next one only
when the voters are what the peers are, for Raft promises nothing once a majority's disks are gone.
"""

from __future__ import annotations

import msgspec

from consensus.membership import next_change
from consensus.raft import founding
from consensus.raft.hardened import HardenedSyncObj
from tests.sim.raft.world import Disk, Ledger, World

PEERS_MAX = 6
PEERS_MIN = 3


class PeerLedger(Ledger):
    """Commands ``+name`` and ``-name`` change the peers; ``index`` is that of the last entry applied."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: list[str] = []
        self.index = 0

    def apply(self, *, index: int, term: int, command: bytes) -> object:
        self.index = index
        verb, name = command[:1], command[1:].decode()
        if verb == b"+" and name not in self.peers:
            self.peers = sorted([*self.peers, name])
        elif verb == b"-" and len(self.peers) > 1:
            self.peers = [peer for peer in self.peers if peer != name]
        return super().apply(index=index, term=term, command=command)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.applied, self.peers, self.index))

    def restore(self, data: bytes) -> None:
        kind = tuple[list[tuple[int, bytes]], list[str], int]
        self.applied, self.peers, self.index = msgspec.msgpack.decode(data, type=kind)


class ChurnWorld(World):
    """``ledgers`` hold ``PeerLedger``s. ``lost``: names whose disk is gone for good."""

    def __init__(self, seed: int, *, members: int = 3) -> None:
        super().__init__(seed, members=members, member_class=HardenedSyncObj)
        first = PeerLedger()
        first.peers, first.index = list(self.names), founding.FOUNDING_INDEX
        for name in self.names:
            founding.found(self.disks[name], self.names, first.snapshot())
        self.lost: set[str] = set()
        self.leaving: set[str] = set()
        self._joining: dict[str, list[str]] = {}  # by name: its contacts, until it has registered
        self._registered = dict.fromkeys(self.names, founding.FOUNDING_INDEX)
        self._made = len(self.names)
        self.network.admits = self._admits

    # --- members ------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        self.start_member(name, [], PeerLedger(), members=())
        self._follow(name)

    def _ledger(self, name: str) -> PeerLedger:
        ledger = self.ledgers[name]
        assert isinstance(ledger, PeerLedger)
        return ledger

    def _follow(self, name: str) -> None:
        peers = self._ledger(name).peers or self._joining.get(name, [])
        self.members[name].set_learners(frozenset(peers))

    def _admits(self, host: str, guest: str) -> bool:
        """As ``consensus.membership.why_refuse``."""
        ledger = self._ledger(host)
        known = guest in ledger.peers or guest in self.members[host].voters
        return known or ledger.index < self._registered.get(guest, 0)

    def step(self) -> None:
        super().step()
        for name in sorted(self.members):
            before = self._ledger(name).peers
            self._follow(name)
            if self.members[name]._isLeader() and self.rng.random() < 0.2:
                self._keep(name, before)
        if self.rng.random() < 0.05:
            self._operate()

    def _keep(self, leader: str, peers: list[str]) -> None:
        """What ``consensus.membership.Keeper`` does."""
        member = self.members[leader]
        voters = frozenset(map(_number, member.voters))
        wanted = frozenset(map(_number, peers))
        matched = {number: member.matched(f"n{number}") for number in voters | wanted}
        change = next_change(
            own=_number(leader), voters=voters, peers=wanted, matched=matched, last_index=member.last_index
        )
        if change is None:
            return
        self._count(f"voter {change.verb}")
        if change.verb == "hand_over":
            member.hand_over(f"n{change.peer}")
        else:
            member.change_members(change.verb, f"n{change.peer}", lambda *_: None)
            for number in sorted(voters ^ wanted):  # impatient: all at once, caught up or not
                verb = "rem" if number in voters else "add"
                member.change_members(verb, f"n{number}", lambda *_: None)

    # --- the operator ---------------------------------------------------------------------------------------

    def _operate(self) -> None:
        """Propose again what is not yet so, and start those who may join."""
        if not self.members:
            return
        proposer = self.rng.choice(sorted(self.members))
        ledger = self._ledger(proposer)
        for name in sorted(self.leaving & set(ledger.peers)):
            self.propose_command(proposer, f"-{name}".encode())
        for name in sorted(self._joining):
            if name in ledger.peers:
                self._registered[name] = next(i for i, c in ledger.applied if c == f"+{name}".encode())
                self._joining[name] = list(ledger.peers)
                if name not in self.members and name not in self.lost:
                    founding.prepare(self.disks[name])
                    self.names.append(name)
                    self.start(name)
                del self._joining[name]
                self._count("joined")
            else:
                self.propose_command(proposer, f"+{name}".encode())

    def disturb(self) -> None:
        case = self.rng.randrange(10)
        if case <= 1:
            self._lose_a_disk()
        elif case == 2:
            self._remove_one()
        elif case == 3:
            self._add_one()
        else:
            super().disturb()

    def _lose_a_disk(self) -> None:
        peers = self._agreed_peers()
        if peers is None or len(peers) < PEERS_MIN or self._joining:
            return
        victim = self.rng.choice(peers)
        if victim in self.members:
            self.crash(victim)
        self._forget(victim)
        self.leaving.add(victim)
        self._add_one()
        self._count("disk lost")

    def _remove_one(self) -> None:
        peers = self._agreed_peers()
        if peers is not None and len(peers) > PEERS_MIN:
            gone = self.rng.sample(peers, len(peers) - PEERS_MIN)
            self.leaving |= set(gone)
            self._count("removed")

    def _add_one(self) -> None:
        while len(self._joining) < 2 and len({*self.names, *self._joining} - self.leaving) < PEERS_MAX:
            name = f"n{self._made}"
            self._made += 1
            self.disks[name] = Disk()
            self._joining[name] = []

    def _forget(self, name: str) -> None:
        self.lost.add(name)
        self.names.remove(name)
        self.disks[name] = Disk()

    def _agreed_peers(self) -> list[str] | None:
        """The peers, if the newest leader has a majority, and has committed voters that are just those."""
        leaders = [name for name, member in self.members.items() if member._isLeader() and member.hasQuorum]
        if not leaders:
            return None
        name = max(leaders, key=lambda name: self.members[name].raftCurrentTerm)
        member, peers = self.members[name], self._ledger(name).peers
        pending = member._SyncObj__changeClusterIDx or 0
        agreed = member.voters == frozenset(peers) and member.raftLastApplied >= pending
        return peers if agreed and not self.leaving & set(peers) else None

    def settled(self) -> bool:
        """As agreed as can be, with those gone who should be; members that were removed are let go of."""
        peers = self._agreed_peers()
        if peers is None or self._joining:
            return False
        for name in sorted(self.leaving & set(self.names) - set(peers)):
            if name in self.members:
                self.crash(name)
            self._forget(name)
        leaders = [name for name in peers if name in self.members and self.members[name]._isLeader()]
        if len(leaders) != 1:
            return False
        end = self.members[leaders[0]].last_index
        return all(name in self.members and self.members[name].raftLastApplied == end for name in peers)

    def _count(self, what: str) -> None:
        self.reports[what] = self.reports.get(what, 0) + 1


def _number(name: str) -> int:
    return int(name[1:])
