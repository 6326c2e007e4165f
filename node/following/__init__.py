"""Nodes that are no peers: routers, which follow the cluster's state and hold nothing.

Lives here: what a peer does for them (``feed``), what they do (``follower``: whom to follow, its loop;
``followed_log``: the metadata log without a log; ``shardless``: a node without shards), what they say to each
other (``wire``). Pure: the copy of the state (``copy``), whom to follow and when to leave (``course``).
May not live here: Raft, and whatever reads or writes points: a router has to start without FAISS.

A router is no member: it is in no state and in no log, so it may come and go without anybody's agreement.
"""
