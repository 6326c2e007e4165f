"""Points grouped by a payload key (reference 9.13).

``collector`` is pure: hits in, groups out, and what to ask for next. ``asking`` carries it out over any
query.
"""

from router.groups.asking import query_groups
from router.groups.collector import Group, GroupId
from router.groups.requests import GroupQuery, Lookup

__all__ = ["Group", "GroupId", "GroupQuery", "Lookup", "query_groups"]
