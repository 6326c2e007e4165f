"""Benchmarks of several nodes on this machine, which all share its cores.

Lives here: the nodes (``nodes``), what is measured of them (``writes``, ``reads``, ``failing``), and the
order (``measuring``).
"""

from vecraft.bench.cluster.measuring import ClusterPlan, measure

__all__ = ["ClusterPlan", "measure"]
