"""Why Snakemake runs a job again, in a person's words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOWS = "follows from the above"
NOT_THERE = "not there yet"
ALONE = {"export_targets": "distill.k"}  # rules whose one setting is no JSON
REASONS = (
    ("Params have changed", None),
    ("Updated input files", "its input changed"),
    ("Missing output files", NOT_THERE),
    ("Incomplete output files", "was interrupted"),
    ("Set of input files has changed", "reads other files than before"),
    ("Software environment", "the software environment changed"),
    ("Code has changed", "the workflow's code changed"),
    ("Input files updated by another job", FOLLOWS),
    ("Forced execution", "forced"),
)


def explain(reason: str, rule: str = "") -> str:
    """Return why a job runs, in a person's words; of several reasons the first in REASONS."""
    for start, words in REASONS:
        if start in reason:
            return words or _changes(reason, rule)
    return reason[:80]


def _changes(reason: str, rule: str) -> str:
    """Say which settings changed, from the parameters before and now that Snakemake tells."""
    before, _, now = reason.partition("before: ")[2].partition(" now: ")
    old, new = (dict(pair for value in _objects(text) for pair in _flat(value)) for text in (before, now))
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if "languages" in keys:  # the others say the same again
        keys = [key for key in keys if not key.endswith("_languages")]
    if keys:
        told = [f"{key}: {_short(old.get(key))} → {_short(new.get(key))}" for key in keys]
        return "; ".join(told[:2]) + (f" and {len(told) - 2} more" if len(told) > 2 else "")
    # What is left: hashes of files and of our own code, long and short hexadecimal words.
    codes = [re.findall(r"\b[0-9a-f]{12}\b", text) for text in (before, now)]
    if codes[1] and codes[0] != codes[1]:
        return "tagdistill's code changed"
    sums = [set(re.findall(r"\b[0-9a-f]{64}\b", text)) for text in (before, now)]
    if sums[0] != sums[1]:
        return "the data file changed"
    made_from = [re.findall(r"\b[0-9a-f]{16}\b", text) for text in (before, now)]
    if made_from[0] != made_from[1]:  # what it is made from, and nothing of its own
        return FOLLOWS
    single = [text.strip() for text in (before, now)]
    if max(map(len, single)) > 20:
        return "reads other files than before"
    return f"{ALONE.get(rule, 'a setting')}: {single[0]} → {single[1]}"


def _objects(text: str) -> Iterator[Any]:
    """Yield the JSON objects in a text."""
    decoder, position = json.JSONDecoder(), text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            end = position + 1
        else:
            if not all(isinstance(item, list) for item in value.values()):  # lists of files follow from the settings
                yield value
        position = text.find("{", end)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:37]}..."
