"""Bodies of requests: what fits, and what each that does not is told."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")

from tagdistill.serving.limits import Limits
from tagdistill.serving.refusals import Refusal
from tagdistill.serving.requests import Options, parse, request_model

LIMITS = Limits(texts=3, text_characters=20, characters=40, k_best=5)
MODEL = request_model(LIMITS)
SECRET = "Geheimnis"


def parsed(values: object):
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    return parse(MODEL, body, LIMITS)


def test_one_text_many_and_words_with_their_options():
    assert parsed({"texts": "Ada 𝔸"}) == (["Ada 𝔸"], Options())
    assert parsed({"texts": ["Ada", ["in", "Paris"], ""]}) == (["Ada", ["in", "Paris"], ""], Options())
    assert parsed({"texts": []}).texts == [] and parsed({"texts": [[]]}).texts == [[]]
    options = {"k_best": 5, "marginals": True, "constrained": False}
    assert parsed({"texts": "a", **options}).options == Options(5, True, False)
    assert parsed(b'{"texts": "a\\u0000b"}').texts == ["a\0b"]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "empty", None),
        (b" \n", 400, "empty", None),
        (b"{", 400, "invalid_json", None),
        (b'{"texts": "\xff"}', 400, "invalid_json", None),
        (b'{"texts": "\\ud800"}', 400, "invalid_json", None),
        (b'{"texts": "\xed\xa0\x80"}', 400, "invalid_json", None),
        (b"[" * 100_000, 400, "invalid_json", None),
        (b'{"texts": "a", "k_best": ' + b"9" * 5000 + b"}", 400, "invalid_json", None),
        (b'{"texts": "a", "k_best": ' + b"9" * 50 + b"}", 422, "invalid_field", "k_best"),
        (b'{"texts": "a", "k_best": NaN}', 422, "invalid_field", "k_best"),
        (b"null", 422, "invalid_field", "body"),
        (b"[]", 422, "invalid_field", "body"),
        ({}, 422, "missing_field", "texts"),
        ({"text": "a"}, 422, "missing_field", "texts"),
        ({"texts": "a", "text": "b"}, 422, "unknown_field", "text"),
        ({"texts": None}, 422, "invalid_field", "texts"),
        ({"texts": 3}, 422, "invalid_field", "texts"),
        ({"texts": {"a": 1}}, 422, "invalid_field", "texts"),
        ({"texts": ["a", 3]}, 422, "invalid_field", "texts[1]"),
        ({"texts": ["a", ["b", ""]]}, 422, "invalid_field", "texts[1][1]"),
        ({"texts": ["a", ["b", ["c"]]]}, 422, "invalid_field", "texts[1][1]"),
        ({"texts": "a", "k_best": "3"}, 422, "invalid_field", "k_best"),
        ({"texts": "a", "k_best": True}, 422, "invalid_field", "k_best"),
        ({"texts": "a", "k_best": 6}, 422, "invalid_field", "k_best"),
        ({"texts": "a", "k_best": -1}, 422, "invalid_field", "k_best"),
        ({"texts": "a", "marginals": 1}, 422, "invalid_field", "marginals"),
        ({"texts": "a", "constrained": "no"}, 422, "invalid_field", "constrained"),
        ({"texts": "x" * 21}, 413, "too_large", "texts"),
        ({"texts": ["a", "x" * 21]}, 413, "too_large", "texts[1]"),
        ({"texts": [["x" * 10, "x" * 10]]}, 413, "too_large", "texts[0]"),
        ({"texts": ["x" * 20, "x" * 20, "x"]}, 413, "too_large", "texts"),
        ({"texts": ["a"] * 4}, 413, "too_large", "texts"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field(body, status, code, field):
    with pytest.raises(Refusal) as refused:
        parsed(body)
    error = json.loads(refused.value.body())["error"]
    assert (refused.value.status, error["code"], error.get("field")) == (status, code, field)


def test_an_unknown_field_is_told_which_are_known():
    with pytest.raises(Refusal, match="Known: texts, k_best, marginals, constrained"):
        parsed({"texts": "a", "top_k": 3})


@pytest.mark.parametrize("values", [{"texts": [SECRET, 3]}, {"texts": SECRET * 10}, {"texts": "", "k_best": SECRET}])
def test_no_refusal_quotes_a_text(values):
    with pytest.raises(Refusal) as refused:
        parsed(values)
    assert SECRET not in str(refused.value) + refused.value.body().decode()
    assert refused.value.__cause__ is None


def test_the_schema_states_the_limits():
    schema = json.dumps(MODEL.model_json_schema())
    assert '"maxItems": 3' in schema and '"maxLength": 20' in schema and "at most 40 characters" in schema
    assert re.search(r'"additionalProperties": false', schema)


def test_the_longest_request_fits_into_the_longest_body():
    longest = {"texts": ["𝔸" * LIMITS.text_characters] * 2, "k_best": 5, "marginals": True, "constrained": None}
    assert len(json.dumps(longest)) <= LIMITS.body_bytes
