from typing import Any

import numpy as np
import numpy.typing as npt

def distances(query: bytes, code: bytes, halves: bool = False) -> list[int]:
    """The squared distance of two codes by each of the ways that this processor has; walks take the last.

    ``halves``: two components are in each byte of ``code``, and one in each of ``query``, or two there, too.

    For tests. Raises: ValueError if they have not as many components.
    """

def sign_distances(query: bytes, centre: bytes, code: bytes, bits: int) -> list[float]:
    """The estimated squared distance of a query, float32, and a code of signs, by each of the ways that this
    processor has; walks take the last. ``bits``: of the query's components.

    For tests. Raises: ValueError if they have not as many components, a multiple of 64.
    """

def normalize(rows: npt.NDArray[np.float32], units: npt.NDArray[np.float32], /) -> None:
    """Write rows (..., dim) scaled to unit length to ``units``, as ``distances.normalize`` has it.

    Both C-contiguous; they may be one array. Raises: ValueError for arrays that do not fit each other.
    """

def rotate(
    rows: npt.NDArray[np.float32], signs: npt.NDArray[np.float32], rotated: npt.NDArray[np.float32], /
) -> None:
    """Write rows (n, dim) to ``rotated`` (n, width), as ``rotation.rotate`` has it; all C-contiguous.

    ``signs``: what ``rotation.signs_of`` gives. Raises: ValueError for arrays that do not fit each other.
    """

def encode(
    rows: npt.NDArray[np.float32], low: float, step: float, form: int, codes: npt.NDArray[np.uint8], /
) -> None:
    """Write the codes of integers of rows (n, dim) to ``codes`` (n, width), both C-contiguous.

    Raises: ValueError if these have no room for them.
    """

def pack(links: npt.NDArray[np.int32], width: int, first: int, packed: npt.NDArray[np.uint8], /) -> None:
    """Write links of ``width`` bits (1..31), from the ``first`` on, where there are zeros.

    Eight bytes are behind the last. Raises: ValueError if there is no room, or one has more bits.
    """

def unpack(packed: npt.NDArray[np.uint8], width: int, first: int, links: npt.NDArray[np.int32], /) -> None:
    """Read what ``pack`` wrote. Raises: ValueError if there is less."""

def count_tops(rows: npt.NDArray[np.float32], counts: npt.NDArray[np.int64], /) -> None:
    """Add to ``counts`` (256,) how often each byte is the uppermost one of a component.

    Both C-contiguous. Raises: ValueError for other sizes.
    """

def pack_rows(
    rows: npt.NDArray[np.float32], dim: int, first: int, tops: bytes, packed: npt.NDArray[np.uint8], /
) -> list[int]:
    """Write rows (n, dim) to ``packed`` in 28 bits a component (``packed_rows.h``).

    ``tops``: sixteen uppermost bytes. Returns: the components that have another one, as ``packed_rows.h`` has
    them, where ``first`` is the number of the first row.

    Raises: ValueError for arrays that do not fit each other, MemoryError.
    """

def unpackings(rows: PackedRows, row: int) -> list[bytes]:
    """A row, but for its ``others``, by each of the ways that this processor has. For tests.

    Raises: ValueError if it is not there.
    """

class PackedRows:
    """Rows of float32 in 28 bits a component (``packed_rows.h``). Safe from many threads; lets others run."""

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        dim: int,
        tops: bytes,
        marked: npt.NDArray[np.uint8],
        others: npt.NDArray[np.uint64],
    ) -> None:
        """``data``: (n, bytes of a row). ``marked``: packed bits of the rows that have ``others``, ascending.

        Raises: ValueError for arrays that do not fit each other.
        """

    def read(self, rows: npt.NDArray[np.int64], floats: npt.NDArray[np.float32], /) -> None:
        """Write the ``rows`` (n,) to ``floats`` (n, dim). Raises: ValueError if one is not there."""

    def score(
        self,
        queries: npt.NDArray[np.float32],
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        kernel: int,
        is_distance: bool,
    ) -> None:
        """Write what each of ``queries`` (nq, dim) and each of ``rows`` (n,) are worth to ``scores`` (nq, n).

        Arrays are C-contiguous; ``kernel`` and ``is_distance`` as in ``ScoredGraph``.

        Raises: ValueError for arrays that do not fit each other or rows that are not there, MemoryError.
        """

class Graph:
    """The links and codes of a graph over integers, compared by L2: codes where FAISS has them, links there,
    too, or packed.

    Searching is safe from many threads, and lets others run. A query that the integers' range would make
    another one is compared with codes as floats.
    """

    def __init__(
        self,
        owner: object,
        count: int,
        entry: int,
        top: int,
        neighbors: int,
        offsets: int,
        starts: npt.NDArray[np.int32],
        codes: int,
        width: int,
        low: float,
        step: float,
        centre: int = 0,
        bits: int = 0,
        form: int = 0,
        rotation: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """
        Args:
            owner: what keeps the memory behind the addresses.
            count, entry, top: the nodes, the entry node and its level.
            neighbors, offsets: addresses of int32 nodes, -1 behind a node's last, and of uint64 places of
                each node's first neighbour.
            starts: where each level's neighbours begin within a node's, and where the last level's end.
            codes: the address of ``count`` codes of ``width`` bytes: a vector's components and zeros.
            low, step: the integer i stands for ``low + i * step``.
            centre, bits: of codes of signs (``signs.h``): the address of their centre, as many float32 as a
                vector has components, and bits of a query's component.
            form: 0: codes are of bytes; 1: of halves (``graph.h``), and the integers are of seven bits, of
                which they have the upper four; 2: of bytes split in halves, which cannot be linked.
            rotation: of queries, where codes are of signs: what ``rotation.signs_of`` gives; None: they come
                rotated.

        Raises: ValueError if they cannot be one graph's.
        """

    @classmethod
    def packed(
        cls,
        owner: object,
        count: int,
        entry: int,
        levels: tuple[tuple[npt.NDArray[Any], npt.NDArray[np.uint8], npt.NDArray[np.uint32] | None], ...],
        codes: int,
        width: int,
        low: float,
        step: float,
        centre: int = 0,
        bits: int = 0,
        form: int = 0,
        rotation: npt.NDArray[np.float32] | None = None,
    ) -> Graph:
        """
        Args:
            levels: from the lowest on the blocks, links and nodes of each, as ``packed.h`` has them; the
                lowest has all nodes, and no array of them. The entry node is on all levels.

        The rest as above; ``owner`` keeps what is behind ``codes``. Raises: ValueError likewise.
        """

    def search(
        self,
        queries: npt.NDArray[np.float32],
        ef: int,
        whole: int,
        worth: int,
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        of_nodes: npt.NDArray[np.uint32] | None,
        /,
    ) -> None:
        """Walk for each query (nq, dim) and write what is best by its codes to ``rows`` and ``scores``.

        Both are (nq, k <= whole <= ef): best first, equally good ones by row, padded with -1 and -inf. Arrays
        are C-contiguous.

        Args:
            ef: how many nodes a walk keeps. ``whole``: how many of them are compared by whole bytes where
                these are split.
            worth: what distances tell: 0: minus the squared distance; 1: the cosine of vectors of unit
                length; 2: the inner product.
            of_nodes: of each node its row; None: its own number.

        Raises: ValueError for arrays that do not fit each other, MemoryError.
        """

    def link(
        self,
        levels: npt.NDArray[np.int32],
        locks: npt.NDArray[np.uint8],
        order: npt.NDArray[np.int32],
        next: npt.NDArray[np.int64],
        ef: int,
    ) -> None:
        """Link nodes whose codes are there and whose links are empty, until all are taken.

        Any number of threads may call it with the same arrays, and share the work; others may search.

        Args:
            levels: how many levels each node is on. ``locks``: zeros, one for each node.
            order: the nodes; none is on a higher level than the entry node, unless it is linked alone.
            next: zero; where in ``order`` the next thread goes on.
            ef: how many nodes a walk keeps, of which neighbours are chosen.

        Raises: ValueError for arrays that are not of this graph and for packed links, MemoryError.
        """

class ScoredGraph:
    """A graph, and the vectors that its codes were made of: what walks find is scored again on these."""

    def __init__(
        self,
        graph: Graph,
        matrix: npt.NDArray[np.float32] | PackedRows,
        rows: npt.NDArray[np.uint32] | None,
        kernel: int,
        is_distance: bool,
    ) -> None:
        """
        Args:
            matrix: (n, dim), C-contiguous, or packed. ``rows``: of each node the row in it; None: its own
                number.
            kernel: address of ``float f(const float *query, const float *row, size_t dim)``; it runs
                without the interpreter's lock.
            is_distance: the less it says the better: what it says is negated.

        Raises: ValueError if they cannot be the vectors of this graph.
        """

    def search(
        self,
        queries: npt.NDArray[np.float32],
        ef: int,
        wanted: int,
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        walked: npt.NDArray[np.int64],
        allowed: npt.NDArray[np.uint8] | None,
        /,
    ) -> None:
        """Walk for each query (nq, dim) and score the ``wanted`` nearest nodes again whose rows are allowed.

        The best are written to ``rows`` and ``scores``, both (nq, k): best first, equally good ones by row,
        padded with -1 and -inf. ``walked`` (nq, 2): how many nodes the walk kept, and how many of all those
        are allowed. Arrays are C-contiguous. ``ef``: how many nodes a walk keeps. ``allowed``: packed bits
        of matrix rows, little-endian; those that it has no bits for are not allowed.

        Raises: ValueError for arrays that do not fit each other, MemoryError.
        """

    def scan(
        self,
        queries: npt.NDArray[np.float32],
        wanted: int,
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        listed: npt.NDArray[np.int64] | None,
        allowed: npt.NDArray[np.uint8] | None,
        /,
    ) -> None:
        """As ``search``, but compare the codes of all nodes whose rows are allowed, and no others.

        The rows are given either as ``listed``, matrix rows in ascending order, or as bits. Of rows that are
        no nodes' nothing is found.
        """
