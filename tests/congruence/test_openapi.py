"""``/openapi.json`` is true: whatever it allows to be asked is answered as it says, or refused.

Requests are made by Schemathesis from the document alone, so most of them name nothing that exists; what
means something to a collection is asked in ``test_any_body`` and ``test_any_request``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.congruence.server import examples, serving
from tests.congruence.test_any_body import NO_INFERENCE, fill

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
ASKED_MAX = 8


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("openapi")) as urls:
        with httpx.Client(base_url=urls[0], timeout=60) as client:
            fill(client, "c")
        yield urls[0]


@pytest.mark.timeout(900)
def test_any_request_of_the_document_is_answered_as_it_says(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 60
    for operation in operations:
        ask_any(operation)
        if operation.path == "/quotas":  # what any quota allows is refused by most of them
            httpx.put(f"{url}/quotas?wait=true", json={}).raise_for_status()


def ask_any(operation: Any) -> None:
    @settings(max_examples=examples(ASKED_MAX), deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        response = case.call()
        if NO_INFERENCE not in response.text:
            case.validate_response(response, checks=CHECKS)

    check()
