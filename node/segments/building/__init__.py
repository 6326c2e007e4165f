"""Making finished segments out of others: index, merge and compact jobs, in a process of their own.

Lives here: the jobs, the server's side of a build and the builder's, what goes into graphs and in which order
rows and nodes lie.
May not live here: searching what was built (``node.segments``, which knows nothing of this), when to build
what (``node.optimizer``).
"""

from node.segments.building.build import run_build
from node.segments.building.jobs import BuildJob, BuildResult, CompactJob, IndexJob, MergeJob, Source

__all__ = [
    "BuildJob",
    "BuildResult",
    "CompactJob",
    "IndexJob",
    "MergeJob",
    "Source",
    "run_build",
]
