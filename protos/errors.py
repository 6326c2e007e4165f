"""Errors that cross a floor boundary, named after whose fault they are.

::

    VecraftError
    ├── NothingChanged        304  a partial snapshot would hold nothing
    ├── BadInput              400  the request's values cannot be right
    ├── BadRequest            400  the request breaks a rule of the collection (strict mode, ...)
    │   └── NotSupported      400  of the API, and not in this version
    ├── InferenceError        400  a remote model cannot make a vector of what it was given
    ├── ChecksumMismatch      400  a file is not what its sender says
    ├── MalformedBody         400  the body is not JSON of the expected shape
    ├── InvalidField          422  a field breaks a documented constraint; carries its path
    ├── AlreadyExists         409
    ├── NotFound              404
    ├── Forbidden             403
    ├── Locked                403  recovery mode or a write lock
    ├── StandaloneMode        405  a cluster operation on a node without cluster mode
    ├── Timeout               408  unknown outcome; it may have been applied
    ├── RateLimited           429  a limit of the collection, for now; carries after how long, if ever
    │   └── Overloaded        429  this node has more to do than it takes at once; nothing was done
    ├── AlreadyInProgress     503  the same is being done for somebody else; nothing was done
    ├── InsufficientStorage   507  a quota or the disk is full; nothing was applied
    ├── ShardUnavailable      503  no replica can serve this now; nothing was applied
    │   ├── PointsMoved       503  the points are another shard's, or about to be; look where, and ask again
    │   ├── NotPrimary        503  another replica takes the shard's writes; carries which, if known
    │   └── TooFewReplicas    503  fewer are in sync than the write consistency factor asks for
    ├── IntakeOver            500  among members only: copies are not wanted (any more)
    └── ServiceError          500  our fault

Only the edges know status codes: ``router.rest`` and ``router.grpc`` map each class. ``str(error)`` is the
complete text that Qdrant's clients see, prefix included (reference section 1.2).
"""

from __future__ import annotations

import errno
from typing import ClassVar

_FULL = (errno.ENOSPC, errno.EDQUOT)


class VecraftError(Exception):
    """Base of every error that may reach a client."""

    prefix: ClassVar[str] = ""
    transient: ClassVar[bool] = False  # may another replica, or a later try, succeed?

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(f"{self.prefix}{message}")


class NothingChanged(VecraftError):
    """Of a partial snapshot."""

    def __init__(self, shard_id: int) -> None:
        super().__init__(f"Partial snapshot for shard {shard_id} contains no changes")


class AlreadyInProgress(VecraftError):
    transient = True


class BadInput(VecraftError):
    prefix = "Wrong input: "


class BadRequest(VecraftError):
    prefix = "Bad request: "


class NotSupported(BadRequest):
    """Part of Qdrant's API that this version does not have."""


class InferenceError(VecraftError):
    """The text is the inference service's own."""


class ChecksumMismatch(VecraftError):
    """Of SHA-256 sums in hex."""

    def __init__(self, expected: str, actual: str) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(f"Checksum mismatch: expected {expected}, actual {actual}")


class MalformedBody(VecraftError):
    prefix = "Format error in JSON body: "


class InvalidField(VecraftError):
    """A documented constraint is broken: 422 ``Validation error in JSON body: [path: text]``."""

    def __init__(self, path: str, text: str, *, where: str = "JSON body") -> None:
        self.path, self.text, self.where = path, text, where
        super().__init__(f"Validation error in {where}: [{path}: {text}]")


class AlreadyExists(VecraftError):
    prefix = "Wrong input: "


class NotFound(VecraftError):
    prefix = "Not found: "


class Forbidden(VecraftError):
    prefix = "Forbidden: "


class Locked(VecraftError):
    prefix = "Storage locked: "


class StandaloneMode(VecraftError):
    def __init__(self) -> None:
        super().__init__("Qdrant is running in standalone mode")


class Timeout(VecraftError):
    prefix = "Timeout: "
    transient = True


class RateLimited(VecraftError):
    prefix = "Rate limiting exceeded: "

    def __init__(self, message: str, *, retry_after_s: int | None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Overloaded(RateLimited):
    prefix = "Too many requests: "


class InsufficientStorage(VecraftError):
    prefix = "Insufficient storage: "
    transient = True


class ShardUnavailable(VecraftError):
    prefix = "Shard temporarily unavailable: "
    transient = True


class NotPrimary(ShardUnavailable):
    """``primary`` is the peer to ask instead; None: not known."""

    def __init__(self, message: str, *, primary: int | None = None) -> None:
        self.primary = primary
        super().__init__(message)


class PointsMoved(ShardUnavailable):
    """What is asked of a shard is not (yet, any more) its own; to be asked anew by the agreed state.

    ``unknown``: an earlier attempt at the same write may have been carried out; for this node to know.
    """

    unknown: bool = False


class IntakeOver(VecraftError):
    """Copies of points come in by a later session, or no more: whoever sent these has to stop."""


class TooFewReplicas(ShardUnavailable):
    """Trying again helps only when a replica has come back: the caller is told at once."""

    transient = False


class ServiceError(VecraftError):
    prefix = "Service internal error: "
    transient = True


def operation_timed_out(what: str, timeout_s: float) -> Timeout:
    return Timeout(f"Timeout error: Operation '{what}' timed out after {timeout_s:g}s")


def collection_not_found(name: str) -> NotFound:
    return NotFound(f"Collection `{name}` doesn't exist!")


def point_not_found(point_id: int | str) -> NotFound:
    return NotFound(f"No point with id {point_id} found")


def vector_name_not_found(name: str) -> BadInput:
    return BadInput(f"Not existing vector name error: {name}")


def wrong_dimension(expected: int, got: int) -> BadInput:
    return BadInput(f"Vector dimension error: expected dim: {expected}, got {got}")


def sparse_conversion() -> BadInput:
    """A sparse vector where a regular one belongs, or the other way round."""
    return BadInput("Conversion between sparse and regular vectors failed")


def multi_conversion() -> BadInput:
    return BadInput("Conversion between multi and regular vectors failed")


def storage_failed(what: str, error: OSError) -> VecraftError:
    """A disk refused to do ``what``: 507 if it is full."""
    if error.errno in _FULL:
        return InsufficientStorage(f"{what}: {error}")
    return ServiceError(f"{what}: {error}")
