"""Nodes that are no peers: routers, which follow the cluster's state and hold nothing.

Lives here: what they do (``follower``: whom to follow, its loop; ``followed_log``: the metadata log without a
log; ``shardless``: a node without shards). Pure: the copy of the state (``copy``), whom to follow and when to
leave (``course``). May not live here: what a peer does for them, and what they say to each other
(``node.peer.feed``, ``feed_wire``); Raft, and whatever reads or writes points: a router has to start without
FAISS.

A router is no member: it is in no state and in no log, so it may come and go without anybody's agreement.
"""
