"""Protobuf messages into our structs and back: the only place that knows both.

``points`` (ids, shard keys, selectors), ``vectors``, ``values`` (payloads), ``filters`` and ``words`` (enums)
are what the others share; ``options`` is how a call is to be carried out; ``updates``, ``queries`` and
``answers`` are about points; ``configuration`` turns requests about collections into the form their one
decoder takes, ``described`` is what is shown of collections, ``shards`` is about where points lie.

A message of the right type may still lack what it needs: that is ``Unconvertible``.
"""
