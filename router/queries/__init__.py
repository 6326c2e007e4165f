"""Reads: what stands behind the query, search, scroll, count and retrieve endpoints (reference 9).

Lives here: what a read is (``requests``), the vectors of points that are examples (``examples``), what goes
to the shards and how their answers become one (``nearest``, ``pages``; ``direct``: what one shard answers
alone), the operations that protocols call (``operations``), and whether the point exists that a token counts
on (``confirming``).
May not live here: shapes of any protocol, the choice of replicas (``router.replicas``), what a shard does.

Invariants: on one shard a read is one call. On several, the shards first answer ids and scores only; the
merged winners' payloads and vectors are fetched afterwards, so nothing is read that is not returned.
"""
