"""Learning what structs hold, before threads ask.

msgspec finds out the fields of a struct when it is first decoded. A second thread that decodes one while
the first is at it reads half of what was found and crashes the process (msgspec 0.22). So decoders are made
when a module is imported, and what is decoded by a type that is only known at the call, or converted, is
learned there. ``tests/protos/test_structs.py`` holds the code to it.
"""

from __future__ import annotations

from typing import Any

import msgspec


def learn(*kinds: Any) -> None:
    """To be called where the module ends. ``kinds``: types to be decoded or converted to."""
    for kind in kinds:
        msgspec.json.Decoder(kind)
