from collections.abc import Callable
from typing import TypeVar

from protos.ids import PointId

T = TypeVar("T")

def points(
    packed: list[bytes | None], make: Callable[[PointId, int, bytes | None], T], payloads: bool, /
) -> list[T] | None:
    """What ``make`` makes of each packed record's id, version and payload (None unless ``payloads``).

    None: one is not there, is damaged, or has a key that is no id's; ``records`` tells which. Raises: what
    ``make`` raises.
    """
