"""The peer port: what members of a cluster say to each other.

Lives here: the gRPC server and client between members, Raft's streams over it, founding and joining, calls
and letters between members, replicas of other nodes as clients, and what members tell routers (``feed``).
May not live here: what is agreed (``consensus``), what the messages change in a replica.
"""
