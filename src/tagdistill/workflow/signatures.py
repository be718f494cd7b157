"""The parameters of the rules' functions, found out once instead of for every job."""

from __future__ import annotations

from inspect import signature
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def remember_signatures(rules: Iterable[Any]) -> None:
    """Note the signature of each function of some rules at the function, where Python looks for it first.

    Snakemake passes a function what it has parameters for, and asks Python for these again for every job: of a large
    experiment that is a tenth of the time that its plan takes.
    """
    for rule in rules:
        for item in (*rule.input, *rule.params):
            file = getattr(item, "_file", item)
            function = getattr(file, "callable", file)
            if isinstance(function, FunctionType):
                function.__signature__ = signature(function)  # type: ignore[attr-defined]
