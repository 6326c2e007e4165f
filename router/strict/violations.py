"""The errors of strict mode: what is wrong, and what the caller can do."""

from __future__ import annotations

from protos.errors import BadRequest


def violated(error: str, solution: str) -> BadRequest:
    return BadRequest(f"{error}. Help: {solution}")


def check_limit(value: float | None, limit: float | None, name: str) -> None:
    """Raises: BadRequest if ``value`` is above the limit; None on either side is no limit."""
    if value is not None and limit is not None and value > limit:
        raise violated(
            f'Limit exceeded {value:g} > {limit:g} for "{name}"',
            f'Reduce the "{name}" parameter to or below {limit:g}.',
        )
