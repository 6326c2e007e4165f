"""The audit log: who asked for what, and whether it was allowed (reference 5.4).

``entries`` is pure: decisions of the gate into lines, lines into answers. ``files`` writes and reads the
lines, ``searching`` asks all nodes for theirs. May not live here: who may read it.
"""
