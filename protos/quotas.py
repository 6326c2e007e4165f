"""How much of a node's memory and disk may be used before it takes no more data (reference 15.3). Pure.

Lives here: the configuration, what is measured against it, and the decision. A resource that has reached its
limit blocks until it is ``release_margin_percent`` below it, so that a node at its limit does not go back and
forth. May not live here: measuring (``node.quotas``), which requests add data.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Percent = Annotated[int, Meta(ge=1, le=100)]
Margin = Annotated[int, Meta(ge=0, le=100)]
RELEASE_MARGIN_PERCENT = 5


class QuotaConfig(Struct, frozen=True):
    """The names are those of the API. None: that resource has no limit."""

    enabled: bool = False
    max_resident_memory_percent: Percent | None = None
    max_disk_usage_percent: Percent | None = None
    release_margin_percent: Margin = RELEASE_MARGIN_PERCENT


NO_QUOTAS = QuotaConfig()


class QuotaUsage(Struct, frozen=True):
    """Whole percents, rounded down; None: the system does not tell."""

    resident_memory_percent: int | None
    disk_usage_percent: int | None


class _Resource(Struct, frozen=True):
    """How a resource is spoken of."""

    usage: str
    option: str
    remedy: str


MEMORY = _Resource(
    "Resident memory usage is at {used}% of total memory",
    "max_resident_memory_percent",
    "Reduce memory usage (e.g. delete points or drop collections)",
)
DISK = _Resource(
    "Disk usage is at {used}% of total capacity",
    "max_disk_usage_percent",
    "Reduce disk usage (e.g. delete points or drop collections)",
)


class QuotaGate:
    """``memory_exceeded`` and ``disk_exceeded`` are as of the last ``observe``."""

    def __init__(self) -> None:
        self.memory_exceeded = self.disk_exceeded = False

    def observe(self, usage: QuotaUsage, config: QuotaConfig) -> str | None:
        """Returns why no data may be added; None: it may."""
        self.memory_exceeded = _exceeded(
            usage.resident_memory_percent, memory_limit(config), config, was=self.memory_exceeded
        )
        self.disk_exceeded = _exceeded(
            usage.disk_usage_percent, disk_limit(config), config, was=self.disk_exceeded
        )
        if self.memory_exceeded and usage.resident_memory_percent is not None:
            return _refusal(MEMORY, usage.resident_memory_percent, config)
        if self.disk_exceeded and usage.disk_usage_percent is not None:
            return _refusal(DISK, usage.disk_usage_percent, config)
        return None


def memory_limit(config: QuotaConfig) -> int | None:
    """The limit that is enforced; None: none is."""
    return config.max_resident_memory_percent if config.enabled else None


def disk_limit(config: QuotaConfig) -> int | None:
    """The same for the disk."""
    return config.max_disk_usage_percent if config.enabled else None


def _exceeded(used: int | None, limit: int | None, config: QuotaConfig, *, was: bool) -> bool:
    if limit is None or used is None:
        return False
    return used >= (limit - config.release_margin_percent if was else limit)


def _refusal(resource: _Resource, used: int, config: QuotaConfig) -> str:
    limit = memory_limit(config) if resource is MEMORY else disk_limit(config)
    assert limit is not None
    usage = resource.usage.format(used=used)
    if used >= limit:
        usage += f", exceeding the configured limit of {limit}%"
    if config.release_margin_percent:
        usage += (
            f". It reached the configured limit of {limit}% and has to fall below "
            f"{limit - config.release_margin_percent}% before this node takes writes again"
        )
    help_text = f"{resource.remedy}, or raise `{resource.option}` in the global quota config."
    return f"{usage}. Help: {help_text}"
