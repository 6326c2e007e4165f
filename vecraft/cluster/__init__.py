"""``make cluster``: several nodes on this machine as one cluster, watched until Ctrl-C.

Lives here: their processes (``nodes``), what they say of themselves (``watching``), how that is shown
(``showing``, pure), the run from start to end (``launcher``). May not live here: anything a node does; the
launcher knows nodes by their command line and their REST API, as an operator does.
"""
