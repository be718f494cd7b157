"""The functions of rules bear their signatures, so that Python does not find them out again for every job."""

from __future__ import annotations

import inspect
from functools import partial
from types import SimpleNamespace

from tagdistill.workflow.signatures import remember_signatures


def test_functions_of_input_and_params_bear_their_signature():
    def corpus(wildcards, input): ...

    def key(wildcards): ...

    file = SimpleNamespace(_file=SimpleNamespace(callable=corpus))  # as Snakemake wraps a function of input
    rule = SimpleNamespace(input=[file, "a/path"], params=[key, partial(key, None), 7])
    expected = {function: inspect.signature(function) for function in (corpus, key)}
    remember_signatures([rule])
    for function, signature in expected.items():
        assert inspect.signature(function) is function.__signature__ and function.__signature__ == signature
