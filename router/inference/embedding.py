"""Having objects embedded: each distinct one of a request once, by the model it names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from protos.errors import BadInput, ServiceError
from router.inference.objects import InferenceObject, LocalModel, ObjectKind
from router.vectors import SparseValues, VectorValues

# Bytes of text that are embedded at once; more is done in a thread, so that the event loop is not held up.
_AT_ONCE_MAX: Final = 4096

Vectors = dict[InferenceObject, VectorValues]


class RemoteModels(Protocol):
    async def embed(self, objects: Sequence[InferenceObject], *, searching: bool) -> list[VectorValues]:
        """A vector for each."""
        ...

    async def close(self) -> None: ...


class Inference:
    """``local``: models of this process by name, in lower case. ``remote``: for all others, if any."""

    def __init__(
        self, local: Mapping[str, LocalModel] | None = None, remote: RemoteModels | None = None
    ) -> None:
        self._local, self._remote = dict(local or {}), remote

    async def close(self) -> None:
        if self._remote is not None:
            await self._remote.close()

    async def embed(self, objects: Iterable[InferenceObject], *, searching: bool) -> Vectors:
        """The vector of each distinct object. ``searching``: as of queries, not of stored points.

        Raises: BadInput if a local model cannot take it; ServiceError without a remote service; what that
            service answers (reference 16.2).
        """
        distinct = list(dict.fromkeys(objects))
        ours = [each for each in distinct if each.model.lower() in self._local]
        others = [each for each in distinct if each.model.lower() not in self._local]
        if others and self._remote is None:
            text = "InferenceService URL not configured - please provide valid address in config"
            raise ServiceError(text)
        vectors = await self._embed_here(ours, searching=searching)
        if others:
            assert self._remote is not None
            found = await self._remote.embed(others, searching=searching)
            vectors.update(zip(others, found, strict=True))
        return vectors

    async def _embed_here(self, objects: Sequence[InferenceObject], *, searching: bool) -> Vectors:
        def embed() -> Vectors:
            return {each: self._embed_one(each, searching=searching) for each in objects}

        few = sum(len(each.data) for each in objects) <= _AT_ONCE_MAX
        return embed() if few else await asyncio.to_thread(embed)

    def _embed_one(self, found: InferenceObject, *, searching: bool) -> SparseValues:
        if found.kind is not ObjectKind.TEXT:
            raise BadInput(f"Only text input is supported for {found.model}.")
        text, options = msgspec.json.decode(found.data), msgspec.json.decode(found.options)
        try:
            indices, values = self._local[found.model.lower()].embed(text, options, searching=searching)
        except ValueError as error:
            raise BadInput(f"Invalid BM25 config: {error}") from error
        return SparseValues(indices, values)
