"""One replica of a shard as a state machine: events in, effects out.

Lives here: the order of a shard's log, who may acknowledge when, how a follower is brought to its primary's
log, leases for strong reads. ``machine.ReplicaMachine`` is the one door; ``events`` and ``effects`` are its
language, ``messages`` what replicas say to each other.
May not live here: clocks, sockets, threads, files, random numbers, what an operation means.

Invariants, checked after each step of each simulation:
  R1  one primary per term acknowledges;
  R2  what was acknowledged is in the log of every in-sync replica and of every later primary;
  R3  (term, seq) names one entry for ever, and two logs that share it share everything before it;
  R4  what a replica knows as committed is never cut from its log, so a checkpoint that holds only
      committed entries never has to be undone;
  R5  a strong read returns at least what was acknowledged before it began.
"""
