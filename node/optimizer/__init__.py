"""Which segments to rebuild, and the rebuilding beside the writes.

Lives here: ``plan`` (pure: segment figures and limits in, tasks out) and ``runner`` (carries tasks out).
May not live here: how a segment is built (``node.segments``), how a replica swaps it in (``node.replica``).
"""
