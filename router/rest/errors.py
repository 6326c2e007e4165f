"""Which status code each error gets (reference section 1.2), and the errors only REST can make."""

from __future__ import annotations

from protos import errors
from protos.errors import VecraftError
from router.auth.errors import NotAuthenticated, TokenRefused


class BadQuery(VecraftError):
    """A query parameter does not parse: 400."""

    prefix = "Deserialize error in query parameters: "


class BadPath(VecraftError):
    """A path parameter does not parse: 400."""

    prefix = "Deserialize error in path parameters: "


class BadContentType(VecraftError):
    """A JSON body came without ``Content-Type: application/json``: 400."""

    def __init__(self) -> None:
        super().__init__("Content type error")


class PayloadTooLarge(VecraftError):
    """The body is larger than ``max_request_size_mb``: 400."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"JSON payload (limit: {limit} bytes) is too large: payload reached size limit.")


STATUS: dict[type[VecraftError], int] = {
    errors.NothingChanged: 304,
    errors.BadInput: 400,
    errors.BadRequest: 400,
    errors.NotSupported: 400,
    errors.InferenceError: 400,
    errors.ChecksumMismatch: 400,
    errors.MalformedBody: 400,
    errors.InvalidField: 422,
    errors.AlreadyExists: 409,
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.Locked: 403,
    errors.StandaloneMode: 405,
    errors.Timeout: 408,
    errors.RateLimited: 429,
    errors.Overloaded: 429,
    errors.AlreadyInProgress: 503,
    errors.InsufficientStorage: 507,
    errors.ShardUnavailable: 503,
    errors.NotPrimary: 503,
    errors.TooFewReplicas: 503,
    errors.PointsMoved: 503,
    errors.IntakeOver: 500,
    errors.ServiceError: 500,
    NotAuthenticated: 401,
    TokenRefused: 403,
    BadQuery: 400,
    BadPath: 400,
    BadContentType: 400,
    PayloadTooLarge: 400,
}

# Found before anything was done: their ``time`` is 0.0 (reference 1.1).
BEFORE_WORK = (errors.MalformedBody, errors.InvalidField, BadQuery, BadPath, BadContentType, PayloadTooLarge)


def status_of(error: VecraftError) -> int:
    """The status of the nearest class that has a row; 500 if none has."""
    for cls in type(error).__mro__:
        status = STATUS.get(cls)
        if status is not None:
            return status
    return 500
