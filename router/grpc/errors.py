"""Which code each error gets (reference 1.2), the text it shows, and the errors that only gRPC can make."""

from __future__ import annotations

import math

from grpc import StatusCode

from protos import errors
from protos.errors import InvalidField, MalformedBody, RateLimited, VecraftError
from router.auth.errors import NotAuthenticated, TokenRefused


class Unconvertible(VecraftError):
    """A message lacks what it needs, or holds what nothing corresponds to; its text stands alone."""


CODES: dict[type[VecraftError], StatusCode] = {
    errors.NothingChanged: StatusCode.FAILED_PRECONDITION,
    errors.BadInput: StatusCode.INVALID_ARGUMENT,
    errors.BadRequest: StatusCode.INVALID_ARGUMENT,
    errors.NotSupported: StatusCode.UNIMPLEMENTED,
    errors.InferenceError: StatusCode.INVALID_ARGUMENT,
    errors.ChecksumMismatch: StatusCode.DATA_LOSS,
    errors.MalformedBody: StatusCode.INVALID_ARGUMENT,
    errors.InvalidField: StatusCode.INVALID_ARGUMENT,
    errors.AlreadyExists: StatusCode.ALREADY_EXISTS,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.Forbidden: StatusCode.PERMISSION_DENIED,
    errors.Locked: StatusCode.FAILED_PRECONDITION,
    errors.StandaloneMode: StatusCode.UNIMPLEMENTED,
    errors.Timeout: StatusCode.DEADLINE_EXCEEDED,
    errors.RateLimited: StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    errors.AlreadyInProgress: StatusCode.UNAVAILABLE,
    errors.InsufficientStorage: StatusCode.RESOURCE_EXHAUSTED,
    errors.ShardUnavailable: StatusCode.UNAVAILABLE,
    errors.NotPrimary: StatusCode.UNAVAILABLE,
    errors.TooFewReplicas: StatusCode.UNAVAILABLE,
    errors.PointsMoved: StatusCode.UNAVAILABLE,
    errors.IntakeOver: StatusCode.INTERNAL,
    errors.ServiceError: StatusCode.INTERNAL,
    Unconvertible: StatusCode.INVALID_ARGUMENT,
    NotAuthenticated: StatusCode.UNAUTHENTICATED,
    TokenRefused: StatusCode.PERMISSION_DENIED,
}


def code_of(error: VecraftError) -> StatusCode:
    """The code of the nearest class that has a row; INTERNAL if none has."""
    for cls in type(error).__mro__:
        code = CODES.get(cls)
        if code is not None:
            return code
    return StatusCode.INTERNAL


def text_of(error: VecraftError) -> str:
    """As REST shows it, but for what speaks of JSON and of paths."""
    if isinstance(error, InvalidField):
        return f"Validation error in body: [{error.path}: {error.text}]"
    return error.message if isinstance(error, MalformedBody) else str(error)


def metadata_of(error: VecraftError) -> tuple[tuple[str, str], ...]:
    """What clients need beside the text."""
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        return (("retry-after", str(math.ceil(error.retry_after_s))),)
    if isinstance(error, errors.InsufficientStorage):
        return (("qdrant-insufficient-storage", "1"),)
    return ()
