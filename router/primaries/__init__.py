"""Calls that only a shard's primary can carry out: finding it, and trying again until it has done so.

``policy`` decides (pure) what follows from a failed attempt, ``calls`` makes the attempts. What is written
is ``router.points``' business, reads are ``router.replicas``'.
"""

from router.primaries.calls import PrimaryCalls

__all__ = ["PrimaryCalls"]
