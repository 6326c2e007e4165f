"""One replica of a shard: the order of its writes, their durability, and the views that reads answer from.

Lives here: resolving changes into log operations, sequence numbers, operation ids, group commit, applying
operations to points, vectors and payload indexes, checkpoints, recovery.
May not live here: how any of these stores or searches (``node.storage``, ``node.segments``, ``node.filter``,
``node.query``), when segments are rebuilt (``node.optimizer``), collection metadata (``consensus``).

Invariants: an operation is applied only after it is durable, so memory never holds what a failed sync
must take back; one thread at a time changes a replica; a published ``View`` never changes.
"""
