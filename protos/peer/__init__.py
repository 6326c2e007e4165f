"""The wire between members: ``peer.proto`` and the code generated from it.

``make protos`` regenerates ``peer_pb2.py`` and its types; they are never edited. There is no generated
service code: the vocabulary needs no transport, so ``node.peer.service`` names the methods.
"""
