"""Strict mode: what a collection's configuration lets its callers ask (reference 15.1, 15.2).

Checked on the node that takes the request, before any shard is asked: ``reads`` and ``writes`` (pure),
``sizes`` (by what shards report), ``rates`` (by a token bucket for each collection on each node).
``admission`` is the door. A collection without strict mode pays one look at its configuration.
"""
