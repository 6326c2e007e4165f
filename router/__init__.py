"""The public face: decoding requests, planning them over shards, merging and encoding answers.

Sees the data only through ``node.client``; needs no FAISS and no storage.
"""
