from collections.abc import Callable, Container
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from protos.ids import PointId

T = TypeVar("T")

def points(
    packed: list[bytes | None], make: Callable[[PointId, int, bytes | None], T], payloads: bool, /
) -> list[T] | None:
    """What ``make`` makes of each packed record's id, version and payload (None unless ``payloads``).

    None: one is not there, is damaged, or has a key that is no id's; ``records`` tells which. Raises: what
    ``make`` raises.
    """

class Heads:
    """Ids and versions of the points of one state of a store, which were asked for before: as many as fit.

    A state never changes, so what is kept stays true. Safe from many threads.
    """

    @property
    def nbytes(self) -> int:
        """What it takes once all room is used."""

    def __init__(self, room: int) -> None:
        """``room``: for so many points, 32 bytes each, a power of two; fewer slots than that never meet.

        Raises: ValueError.
        """

    def points(
        self,
        slots: npt.NDArray[np.int64],
        make: Callable[[PointId, int, None], T],
        read: Callable[[list[int]], list[bytes | None]],
        above: tuple[Container[int], ...],
        /,
    ) -> list[list[T]] | None:
        """``make``'s of the id and version of each slot; ``slots``: (n, m), a list for each row.

        ``read`` gives the packed records of slots that are not known, and of those that one of ``above``
        contains, whose records are none of the state's: they are not kept.
        None: a record is not there, is damaged, or has a key that is no id's. Raises: what the calls raise;
        ValueError if ``slots`` is no matrix.
        """
