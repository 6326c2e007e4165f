"""The agreement: what the cluster is, the commands that change it, and the log that orders them.

Metadata only; points never pass through here. ``state`` and ``commands`` are pure.
"""
