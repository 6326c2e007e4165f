"""A remote inference service over HTTP (reference 16.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Raw, Struct

from protos.errors import InferenceError, InvalidField, RateLimited, ServiceError, VecraftError
from router.checks import check_vector
from router.inference.calls import RequestHeaders, current
from router.inference.objects import InferenceObject
from router.vectors import SparseValues, VectorValues

TIMEOUT_S: Final = 600.0
_VENDOR_KEYS: Final = "-api-key"  # headers that end so are for the service's own providers


class _Input(Struct):
    data: Raw
    data_type: str
    model: str
    options: Raw


class _Request(Struct):
    inputs: list[_Input]
    inference: str
    token: str | None


class _ModelUsage(Struct):
    tokens: int = 0


class _Usage(Struct):
    models: dict[str, _ModelUsage] = {}


class _Answer(Struct):
    """Dense vectors and multivectors are told apart by what stands in them."""

    embeddings: list[list[Any] | SparseValues]
    usage: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)


class RemoteService:
    """Implements ``router.inference.embedding.RemoteModels``. ``token``: of callers that have none."""

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S, token: str | None = None) -> None:
        self._address, self._token = address, token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def embed(self, objects: Sequence[InferenceObject], *, searching: bool) -> list[VectorValues]:
        """Raises: InferenceError, RateLimited, ServiceError, by the service's status."""
        inputs = [_Input(Raw(each.data), each.kind.value, each.model, Raw(each.options)) for each in objects]
        request = _Request(inputs, "search" if searching else "update", current().caller or self._token)
        answer = _decoded(await self._post(msgspec.json.encode(request), _vendor_keys(current().headers)))
        if len(answer.embeddings) != len(objects):
            raise ServiceError(
                f"Inference service returned {len(answer.embeddings)} embeddings for {len(objects)} inputs"
            )
        if answer.usage is not None:
            current().took({model: used.tokens for model, used in answer.usage.models.items()})
        return [_checked(embedding) for embedding in answer.embeddings]

    async def _post(self, body: bytes, keys: dict[str, str]) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = {"Content-Type": "application/json", **keys}
        try:
            async with self._session.post(self._address, data=body, headers=headers) as response:
                data = await response.read()
                if response.status != 200:
                    raise _failure(response.status, data, response.headers.get("Retry-After"))
                return data
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServiceError(f"Failed to send inference request: {error!r}") from error


def _decoded(data: bytes) -> _Answer:
    try:
        return _answer.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServiceError(f"Failed to parse inference response: {error}") from error


def _checked(embedding: Any) -> VectorValues:
    """What does not depend on the collection, which is checked later as of any vector."""
    try:
        check_vector(embedding, "embedding")
    except InvalidField as error:
        raise ServiceError(f"Inference service returned an invalid vector: {error.text}") from error
    vector: VectorValues = embedding
    return vector


def _vendor_keys(headers: RequestHeaders) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if isinstance(value, str) and name.lower().endswith(_VENDOR_KEYS)
    }


def _failure(status: int, data: bytes, retry_after: str | None) -> VecraftError:
    text = _text_of(data)
    if status == 400:
        return InferenceError(text)
    if status == 429:
        digits = (retry_after or "").strip()
        return RateLimited(text, retry_after_s=int(digits) if digits.isascii() and digits.isdigit() else None)
    if status in (401, 403):
        return ServiceError(f"Authentication failed for inference service ({status}): {text}")
    return ServiceError(f"Inference service answered with status {status}: {text}")


def _text_of(data: bytes) -> str:
    """What is wrong, from ``{"error": "…"}`` or as it stands."""
    try:
        error = msgspec.json.decode(data)["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return data.decode(errors="replace")
    return error if isinstance(error, str) else msgspec.json.encode(error).decode()
