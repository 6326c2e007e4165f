"""The commands beside ``serve``: ``vecraft TOPIC …``.

Lives here: one module per topic, each with ``configure(parser)``, which adds its arguments and sets ``run``,
a function of the options that returns an exit status. May not live here: what a server does; formats, checks
and plans, which are in packages of their own (``vecraft.exchange``, ``vecraft.doctor``).

Only the module of the topic that is asked for is imported: ``vecraft --help`` and ``vecraft --version``
import none of them, and only ``serve`` imports the engine. How they end is told by ``vecraft.exits``.
"""

from __future__ import annotations

from msgspec import Struct


class Topic(Struct, frozen=True):
    module: str
    summary: str


TOPICS: dict[str, Topic] = {
    "backup": Topic("backup", "back a whole cluster up, and restore it"),
    "bench": Topic("bench", "run a benchmark on this machine"),
    "cluster": Topic("cluster", "show a cluster, move and spread replicas, empty and remove a peer"),
    "collection": Topic("collection", "list, describe, create and delete collections and aliases"),
    "completion": Topic("completion", "print a script that completes commands in bash, zsh or tcsh"),
    "demo": Topic("demo", "load real embeddings into a node and search them"),
    "doctor": Topic("doctor", "say what is wrong with an installation, and how to mend it"),
    "export": Topic("export_points", "write the points of a collection into files"),
    "import": Topic("import_points", "read points from files into a collection"),
    "pod": Topic("pod", "what a pod of Kubernetes does before it starts and before it stops"),
    "snapshot": Topic("snapshot", "make, fetch, restore and delete snapshots"),
    "token": Topic("token", "make tokens that allow less than the API key, and revoke them"),
}
