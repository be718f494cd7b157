"""Why Snakemake runs a job again, in words for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tagdistill.experiment.layout import KEY_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLLOWS = "follows from the above"
NOT_THERE = "not there yet"
OTHER_FILES = "reads other files than before"
CHANGE = " → "  # between a setting's old value and its new one
HASHES = {  # number of hexadecimal digits: what a change means
    12: "tagdistill's code changed",
    64: "the data file changed",
    KEY_DIGITS: FOLLOWS,
}
MAX_SETTING = 20  # characters of a single setting
MAX_VALUE = 40  # characters of a value that is shown
MAX_REASON = 80  # characters of a reason that REASONS lacks
MAX_CHANGES = 2  # that are shown; the rest are counted
SINGLE_SETTINGS = {"export_targets": "distill.k"}  # rules whose one setting is no JSON
REASONS = (
    ("Params have changed", None),
    ("Updated input files", "its input changed"),
    ("Missing output files", NOT_THERE),
    ("Incomplete output files", "was interrupted"),
    ("Set of input files has changed", OTHER_FILES),
    ("Software environment", "the software environment changed"),
    ("Code has changed", "the workflow's code changed"),
    ("Input files updated by another job", FOLLOWS),
    ("Forced execution", "forced, or was interrupted"),
)


def explain(reason: str, rule: str = "") -> str:
    """Return why a job of a rule runs, from Snakemake's reason; of several reasons the first in REASONS.

    >>> explain("Forced execution")
    'forced, or was interrupted'
    """
    before, _, now = reason.partition("before: ")[2].partition(" now: ")
    for start, words in REASONS:
        if start in reason:
            return words or _changes(before, now, rule)
    return reason[:MAX_REASON]


def explain_key(before: Sequence[str], now: Sequence[str], rule: str = "") -> str:
    """Return why a result has another key, from what was and is its job's own in it (`JobKeys.made`).

    >>> explain_key(["10", "torch", "c0de" * 3], ["20", "torch", "c0de" * 3], "export_targets")
    'distill.k: 10 → 20'
    """
    old, new = (", ".join(part for part in side if part not in other) for side, other in ((before, now), (now, before)))
    return _changes(old, new, rule)


def _changes(before: str, now: str, rule: str) -> str:
    """Say which settings changed, from the old and the new parameters of a job as texts."""
    old, new = (dict(pair for value in _objects(text) for pair in _flat(value)) for text in (before, now))
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if "languages" in keys:  # the others say the same again
        keys = [key for key in keys if not key.endswith("_languages")]
    keys = [key for key in keys if key.partition(".")[0] != "gated"] or keys  # follows from the others
    if keys:
        changes = [f"{key}: {_short(old.get(key))}{CHANGE}{_short(new.get(key))}" for key in keys]
        more = f" and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
        return "; ".join(changes[:MAX_CHANGES]) + more
    return _changed_words(before, now, rule)


def _changed_words(before: str, now: str, rule: str) -> str:
    """Say what changed among parameters that are no JSON: checksums, hashes of code, keys, and single settings."""
    words = [{word.strip(" '\"") for word in text.split(",")} for text in (before, now)]
    hashes = {size: [{word for word in side if _is_hash(word, size)} for side in words] for size in HASHES}
    for size, meaning in HASHES.items():
        if size != KEY_DIGITS and hashes[size][0] != hashes[size][1]:
            return meaning
    single = [
        " ".join(sorted(word for word in side if word and not any(_is_hash(word, size) for size in HASHES)))
        for side in words
    ]
    if single[0] == single[1]:
        return FOLLOWS
    if max(map(len, single)) > MAX_SETTING:
        return OTHER_FILES
    return f"{SINGLE_SETTINGS.get(rule, 'a setting')}: {single[0]}{CHANGE}{single[1]}"


def _is_hash(word: str, size: int) -> bool:
    """Return whether a word is a hexadecimal number of `size` digits."""
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
    """Yield the settings in nested mappings, each with its path, such as `settings.updates`."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."
