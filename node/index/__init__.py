"""Similarity and nearest neighbours: exact scoring, distances, HNSW graphs, inverted indexes.

Lives here: everything that calls FAISS or SciPy. May not live here: slots, segments, files other than an
index's own, filters (a caller hands over rows or takes candidates), threads and event loops.

Invariants: similarity is the internal one of reference 9.5, larger is better, float32; a row's similarity to
a query has the same bits whichever way it was found, because the same kernel always gives the final value.
"""

from node.index.choice import choose_encoding
from node.index.codes import Code, Encoding
from node.index.exact import NO_ROW, best_of, similarities
from node.index.hnsw import HnswGraph
from node.index.linking import GraphParams
from node.index.quantization import Quantization, quantization_of
from node.index.sparse import SparseIndex
from node.index.sparse_build import SparseParams, SparseRows, build_sparse_index, sparse_build_bytes
from node.index.sparse_file import SparseIndexCorrupted
from node.index.threads import set_threads
from node.index.twins import Twins

__all__ = [
    "NO_ROW",
    "Code",
    "Encoding",
    "GraphParams",
    "HnswGraph",
    "Quantization",
    "SparseIndex",
    "SparseIndexCorrupted",
    "SparseParams",
    "SparseRows",
    "Twins",
    "best_of",
    "build_sparse_index",
    "choose_encoding",
    "quantization_of",
    "set_threads",
    "similarities",
    "sparse_build_bytes",
]
