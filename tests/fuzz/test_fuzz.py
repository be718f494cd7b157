"""A few inputs for every target of the fuzzer, and all that was once found."""

from __future__ import annotations

import base64
import json

import pytest
from fuzz_targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated

from fuzz import FOUND, try_one


@pytest.mark.parametrize("file", sorted(FOUND.glob("*.json")), ids=lambda file: file.stem)
def test_what_was_found_stays_mended(file):
    case = json.loads(file.read_text(encoding="utf-8"))
    try_one(case["target"], base64.b64decode(case["data"]), case["options"])


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_end_in_a_result_or_in_an_error_of_ours(name):
    seeds = list(TARGETS[name].seeds())

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=mutated(seeds), options=TARGETS[name].options)
    def run(data: bytes, options: dict) -> None:
        try_one(name, data, options)

    run()


def test_the_fuzzer_finds_what_it_is_for(monkeypatch):
    def broken(data: bytes, _: dict, __: object) -> None:
        if b"\x00" in data:
            raise KeyError("nobody expected this")

    monkeypatch.setitem(TARGETS, "labels", TARGETS["labels"].__class__(TARGETS["labels"].seeds, st.just({}), broken, 1))
    with pytest.raises(KeyError):
        try_one("labels", b"a\x00b", {})
