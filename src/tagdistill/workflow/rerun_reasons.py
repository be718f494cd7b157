"""Why Snakemake runs a job again, in a person's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOWS = "follows from the above"
NOT_THERE = "not there yet"
KEY = 16  # hexadecimal digits of a key: it follows from what a job reads
HASHES = {12: "tagdistill's code changed", 64: "the data file changed", KEY: FOLLOWS}
MAX_SETTING = 20  # characters
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
        changes = [f"{key}: {_short(old.get(key))} → {_short(new.get(key))}" for key in keys]
        return "; ".join(changes[:2]) + (f" and {len(changes) - 2} more" if len(changes) > 2 else "")
    return _changed_words(before, now, rule)


def _changed_words(before: str, now: str, rule: str) -> str:
    """Say what changed among parameters that are no JSON: checksums, hashes of code, keys, and single settings."""
    words = [{word.strip(" '\"") for word in text.split(",")} for text in (before, now)]
    hashes = {size: [{word for word in side if _is_hash(word, size)} for side in words] for size in HASHES}
    for size, meaning in HASHES.items():
        if size != KEY and hashes[size][0] != hashes[size][1]:
            return meaning
    single = [
        " ".join(sorted(word for word in side if word and not any(_is_hash(word, size) for size in HASHES)))
        for side in words
    ]
    if single[0] == single[1]:
        return HASHES[KEY]
    if max(map(len, single)) > MAX_SETTING:
        return "reads other files than before"
    return f"{ALONE.get(rule, 'a setting')}: {single[0]} → {single[1]}"


def _is_hash(word: str, size: int) -> bool:
    return len(word) == size and not set(word) - set("0123456789abcdef")


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
