"""What a remote model needs of the request that is being answered, and what it took (reference 1.1, 16.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from msgspec import Struct

# As the protocol has them; read only when a remote service is asked.
RequestHeaders = Mapping[str, str] | Mapping[str, str | bytes]


class InferenceCall(Struct):
    """``caller``: in whose name a remote service is asked; None: in this server's. ``tokens`` by model.

    Tasks of one request share it.
    """

    headers: RequestHeaders = {}
    caller: str | None = None
    tokens: dict[str, int] = {}

    def took(self, by_model: Mapping[str, int]) -> None:
        for model, count in by_model.items():
            self.tokens[model] = self.tokens.get(model, 0) + count


_current: ContextVar[InferenceCall | None] = ContextVar("inference_call", default=None)


def begin(headers: RequestHeaders, caller: str | None = None) -> InferenceCall:
    """This task, and those it starts, answer a request with these headers from now on."""
    call = InferenceCall(headers, caller)
    _current.set(call)
    return call


def current() -> InferenceCall:
    return _current.get() or InferenceCall()
