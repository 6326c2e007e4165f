"""FAISS without its bundled type stubs, which lack or misdescribe much of what is used here."""

from __future__ import annotations

from typing import Any

import faiss as _faiss

faiss: Any = _faiss
