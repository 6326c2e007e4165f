"""Base copies of a shard: how a replica is filled from another one.

A *base* is the whole state of a shard as of a committed seq: the last checkpoint of a replica, as files of
its own. The source exports one (``export``) and sends it as a stream of parts (``sending``, ``wire``), the
target makes a replica's directory of them (``receiving``): of the ``files`` as they are, or of the
``records`` alone. What came after that seq, the replication log brings.

Lives here: the above, its formats, and how far a transfer has come (``progress``).
May not live here: when to transfer and between whom, whether the log suffices, the putting of a received
directory in a replica's place, the states of replicas.

Invariants: a directory in the making is outside of every replica's place, and removed whatever happens; one
that is handed over is complete, checked and durable; the files of the source are never written to.
"""
