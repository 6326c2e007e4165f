"""Filters over one shard: payload indexes (``columns``), their evaluation to sets of slots (``evaluate``)
and the check of one decoded payload (``check``) that decides what no index can.

May not live here: reading points or payloads, scoring, anything asynchronous.

Invariant: an index changes how fast a filter is answered, never its answer. The one exception is
Qdrant's own: a uuid index makes matches on its field blind to case and form (reference 10.2).
"""
