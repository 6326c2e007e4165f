"""FAISS without its bundled type stubs, which lack or misdescribe much of what is used here."""

from __future__ import annotations

import logging
from typing import Any

logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # each variant it tries and does not have

import faiss as _faiss  # noqa: E402 - it tells that as it is imported

faiss: Any = _faiss
