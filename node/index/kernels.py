"""FAISS's kernels for one pair of vectors, as addresses that our own C code can call.

A row has the same score by whichever way it was found because these give it: FAISS's kernels over many rows
(``exact``) are loops around them.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

from protos.collections import Distance

_SYMBOLS = {
    Distance.COSINE: "_ZN5faiss18fvec_inner_productEPKfS1_m",
    Distance.DOT: "_ZN5faiss18fvec_inner_productEPKfS1_m",
    Distance.EUCLID: "_ZN5faiss10fvec_L2sqrEPKfS1_m",
}


@cache
def kernel_of(distance: Distance) -> int | None:
    """Address of ``float f(const float *, const float *, size_t)``; None: there is none that can be called.

    At Euclid it gives the squared distance, else the inner product.
    """
    symbol, library = _SYMBOLS.get(distance), _library()
    if symbol is None or library is None:
        return None
    try:
        return ctypes.cast(library[symbol], ctypes.c_void_p).value
    except AttributeError:  # a FAISS whose functions are not to be seen from outside
        return None


@cache
def _library() -> ctypes.CDLL | None:
    """FAISS as it is loaded, with what it depends on."""
    for name, module in list(sys.modules.items()):
        if name.startswith("faiss._swigfaiss") and (path := getattr(module, "__file__", None)):
            return ctypes.CDLL(path)
    return None
