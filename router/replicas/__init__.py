"""Reads of a shard that has several replicas: whom to ask and what their answers say (``consistency``),
asking them (``asking``, ``hedging``), and a shard's reads as one client (``reads``).
"""
