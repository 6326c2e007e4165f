"""Status codes by error class (reference 1.2)."""

from __future__ import annotations

import json

import pytest

from protos import errors
from protos.errors import RateLimited, VecraftError
from router.auth import errors as auth_errors
from router.rest import errors as rest_errors
from router.rest.envelope import failure
from router.rest.errors import STATUS, status_of


def _classes(module: object) -> list[type[VecraftError]]:
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return [cls for cls in found if issubclass(cls, VecraftError) and cls is not VecraftError]


@pytest.mark.parametrize("cls", [*_classes(errors), *_classes(rest_errors), *_classes(auth_errors)])
def test_every_error_class_has_a_status(cls: type[VecraftError]) -> None:
    assert cls in STATUS


def test_a_subclass_has_the_status_of_its_parent() -> None:
    class Narrower(errors.NotFound):
        pass

    assert status_of(Narrower("x")) == 404
    assert status_of(VecraftError("x")) == 500


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.BadInput("x"), 400, "Wrong input: x"),
        (errors.AlreadyExists("x"), 409, "Wrong input: x"),
        (errors.NotFound("x"), 404, "Not found: x"),
        (errors.ServiceError("x"), 500, "Service internal error: x"),
        (errors.BadRequest("x"), 400, "Bad request: x"),
        (errors.StandaloneMode(), 405, "Qdrant is running in standalone mode"),
        (errors.Locked("x"), 403, "Storage locked: x"),
        (errors.Timeout("x"), 408, "Timeout: x"),
        (errors.Forbidden("x"), 403, "Forbidden: x"),
        (errors.ShardUnavailable("x"), 503, "Shard temporarily unavailable: x"),
        (errors.InsufficientStorage("x"), 507, "Insufficient storage: x"),
        (errors.InvalidField("a.b", "bad"), 422, "Validation error in JSON body: [a.b: bad]"),
    ],
)
def test_status_and_text_are_qdrants(error: VecraftError, status: int, text: str) -> None:
    response = failure(error, 0.0)
    assert response.status == status
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["status"] == {"error": text}


def test_what_is_no_error_is_told_by_its_status_alone() -> None:
    nothing = failure(errors.NothingChanged(3), 0.0)
    assert (nothing.status, nothing.body) == (304, None)
    busy = failure(errors.AlreadyInProgress("x"), 0.0)
    assert isinstance(busy.body, bytes)
    assert (busy.status, json.loads(busy.body)) == (503, {"status": "already_in_progress", "time": 0.0})


@pytest.mark.parametrize(
    ("error", "status"),
    [(auth_errors.no_credentials(), 401), (auth_errors.TokenRefused("ExpiredSignature"), 403)],
)
def test_callers_that_are_not_known_are_told_so_in_plain_text(error: VecraftError, status: int) -> None:
    response = failure(error, 0.0)
    assert (response.status, response.text, response.content_type) == (status, str(error), "text/plain")


def test_a_rate_limit_says_when_to_retry() -> None:
    assert failure(RateLimited("x", retry_after_s=7), 0.0).headers["Retry-After"] == "7"
    assert "Retry-After" not in failure(RateLimited("x", retry_after_s=None), 0.0).headers
