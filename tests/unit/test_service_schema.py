"""Requests that are made from the service's own description, valid and invalid ones: none ends in a 5xx."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")
pytest.importorskip("schemathesis", reason="no schemathesis here: the description is not tried")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running_service import serving
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tagdistill.tagger.results import Tagged

pytestmark = pytest.mark.slow
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


class Silent:
    """A tagger that finds nothing."""

    task, labels, decode = "ner", ("O",), "constrained"

    def __call__(self, texts, **options):
        joined = (text if isinstance(text, str) else " ".join(text) for text in texts)
        return [Tagged(text, (), (), (), ()) for text in joined]


@pytest.fixture(scope="module")
def schema():
    with serving(Silent()) as running:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{running.port}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_ends_in_an_error_of_the_server(schema, mode):
    operation = schema["/v1/tag"]["POST"]
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def tried(case):
        answer = case.call()
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)

    tried()
    assert 200 in statuses if mode == GenerationMode.POSITIVE else statuses & {400, 415, 422}


def test_what_the_process_says_of_itself_is_as_described(schema):
    for path in ("/health", "/ready", "/metrics", "/v1/model"):
        case = schema[path]["GET"].Case()
        case.call_and_validate(checks=CHECKS)
