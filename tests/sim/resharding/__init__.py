"""Reshardings on virtual time: one seed decides every delay, loss, pause, new primary, write, read and abort.

What decides is the product's: the agreed state (``consensus.transitions``), what a shard admits
(``node.replica.ownership``), the copying (``node.moving.move``), who owes what (``node.moving.duties``), how
routers split changes (``router.shards``). What is modelled: each shard as one log with a committed part (the
simulation of replicas shows that it is), nodes that hear of the agreement late, calls that are lost.
"""
