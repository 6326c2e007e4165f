"""Replicas of one shard on virtual time: one seed decides every delay, loss, pause, partition and crash."""
