"""Everything that `tagdistill.crf` exports has an example in its docstring, and each example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

from tagdistill import crf

pytestmark = pytest.mark.usefixtures("cpu_kernel")

WITH_TRITON = "tagdistill.crf.kernels.triton.programs"
MODULES = [name for _, name, _ in pkgutil.walk_packages(crf.__path__, "tagdistill.crf.") if name != WITH_TRITON]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert not result.failed


def exported() -> Iterator[tuple[str, object]]:
    """All exported classes and functions, with the public methods and properties of the classes."""
    for name in crf.__all__:
        value = getattr(crf, name)
        if callable(value):
            yield name, value
        if inspect.isclass(value) and value.__module__.startswith("tagdistill.crf"):
            members = {key: member for key, member in vars(value).items() if not key.startswith("_")}
            documented = (inspect.isfunction, lambda member: isinstance(member, property))
            yield from ((f"{name}.{key}", x) for key, x in members.items() if any(is_one(x) for is_one in documented))


@pytest.mark.parametrize("name", [name for name, _ in exported()])
def test_each_has_an_example(name: str) -> None:
    assert ">>>" in (inspect.getdoc(dict(exported())[name]) or ""), f"{name} has no example"


def test_methods_are_looked_at_too() -> None:
    assert {"LinearChain.top_k", "LinearChain.marginals", "TopK.weights", "count"} <= dict(exported()).keys()
