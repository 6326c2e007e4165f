"""What everybody logs with: structlog, which is imported here alone.

It prints tracebacks by rich where it finds that, and so would load it into every node, router and builder:
4 MiB of memory each, and most of a tenth of a second of a start. Our tracebacks are plain (``vecraft.logs``).
"""

from __future__ import annotations

import sys

_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]  # what Python takes for "there is none"
try:
    import structlog
    from structlog import get_logger
finally:
    del sys.modules["rich"]
    if _rich is not None:
        sys.modules["rich"] = _rich

__all__ = ["get_logger", "structlog"]
