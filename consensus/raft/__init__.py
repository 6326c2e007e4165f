"""Raft for the metadata log: PySyncObj, hardened.

Lives here: the durable journal and snapshots, the overrides that make the pinned library safe, its thread,
and the ports it stands on: files, and a wire to the other members.
May not live here: what the commands mean (``consensus.state``), sockets, who should be a member.

The library as it comes loses acknowledged commands: it truncates identical entries on a repeated append,
advances the commit index over entries it did not verify, counts acknowledgements of earlier terms and
never syncs a file. ``hardened`` mends that by overriding private methods, so ``compat`` refuses to run with
any other source than the one that was audited. The simulator keeps the stock class as a control that must
fail.

Invariants: a vote, a term and an acknowledged entry are on disk before any message tells of them; an entry
at or below the commit index is never truncated; who votes is what the whole log says; a damaged file ends
the process rather than start it empty.
"""
