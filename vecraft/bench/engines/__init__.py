"""The engines that are compared, each in a process of its own, behind one port.

Lives here: the port (``port``), its forms for our shard engine (``ours``), Qdrant's (``edge``) and plain
FAISS graphs (``plain``), and the process that one of them runs in (``process``).
May not live here: what is compared with what, bars.

Invariants: what an engine is timed for is its own work: points and requests are made ready before the clock
starts; builds use ``Settings.threads`` threads, searches as many as ``serve`` was told.
"""
