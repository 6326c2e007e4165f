"""Tests of node.storage: the log and the point store, on real files."""
