"""Label spaces, and the spans in a sentence's labels, which are always written as BIOES inside the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
OUTSIDE = "O"
STARTS, CONTINUED = "BS", "BI"  # labels that open a span, and those that leave one open

Span = tuple[str, int, int]  # type, start, end (exclusive)


def label_list(task: str, labels: str | Sequence[str]) -> tuple[str, ...]:
    """Return the full label list: `O`, then B- I- E- S- of each type in config order; UPOS is alphabetical."""
    if (labels == "upos") != (task == "pos"):
        wanted = "`labels: upos`" if task == "pos" else "a list of entity types, such as `labels: [PER, LOC, ORG]`"
        raise ConfigError(f"the task {task!r} needs {wanted}, not {labels!r}", where="labels")
    return (
        UPOS if labels == "upos" else (OUTSIDE, *(f"{prefix}-{kind}" for kind in _types(labels) for prefix in "BIES"))
    )


def _types(names: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not names:
        raise ConfigError("no list of types given", where="labels", hint="Such as `labels: [PER, LOC, ORG]`.")
    for name in names:
        if name.split() != [name] or name == OUTSIDE:
            what = "it is in every label list" if name == OUTSIDE else "it is empty or holds white space"
            raise ConfigError(f"{name!r} cannot be a type: {what}", where="labels")
        if name.strip("-") != name:
            raise _hyphened(name)
    if len(set(names)) < len(names):
        raise ConfigError(f"a type is given twice: {', '.join(names)}", where="labels")
    return tuple(names)


def _hyphened(name: str) -> ConfigError:
    bare = name.strip("-")
    what = f"{name!r} cannot be a type: it begins or ends with a hyphen, which scorers take off"
    hint = f"Call it {bare!r}, and rename it in each language: `label_map: {{{name!r}: {bare!r}}}`."
    return ConfigError(what, where="labels", hint=hint if bare else None)


def has_spans(labels: Sequence[str]) -> bool:
    """Return whether a label list is one of spans, not a tag set."""
    return labels[0] == OUTSIDE and all(p in list("BIES") and kind for p, kind in map(prefix_and_type, labels[1:]))


def types_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the span types of a label list, in its order."""
    return tuple(dict.fromkeys(kind for _, kind in map(prefix_and_type, labels) if kind))


def prefix_and_type(label: str) -> tuple[str, str]:
    """Return prefix and type of a span label: ("B", "PER"), or ("O", ""). A type may hold hyphens itself."""
    prefix, _, kind = label.partition("-")
    return prefix, kind


def spans(labels: Sequence[str]) -> list[Span]:
    """Return (type, start, end exclusive) of every span in a sentence of BIOES labels.

    Only what is written as a whole counts: S, or B I* E of one type; anything else is no span.
    """
    return list(_whole_spans(labels))


def _whole_spans(labels: Sequence[str]) -> Iterator[Span]:
    start, open_kind = 0, ""
    for position, label in enumerate(labels):
        prefix, kind = prefix_and_type(label)
        if prefix in STARTS:
            start, open_kind = position, kind
        elif kind != open_kind:
            open_kind = ""
        if prefix in "ES" and open_kind:
            yield kind, start, position + 1
        if prefix not in CONTINUED:
            open_kind = ""


def runs(tags: Sequence[str]) -> Iterator[Span]:
    """Yield spans as conlleval reads them, which is what IOB1 means and how the other schemes are repaired.

    A span begins wherever the type changes, and ends at the next break.
    """
    start, previous = 0, (OUTSIDE, "")
    for position, (prefix, kind) in enumerate([*map(prefix_and_type, tags), (OUTSIDE, "")]):
        if previous[1] and (kind != previous[1] or prefix in STARTS or previous[0] in "ES"):
            yield previous[1], start, position
            previous = (OUTSIDE, "")
        if kind and not previous[1]:
            start = position
        previous = (prefix, kind)


def well_formed(labels: Sequence[str]) -> bool:
    """Return whether a sentence of BIOES labels holds whole spans alone.

    >>> well_formed(["B-PER", "E-PER", "O"]), well_formed(["B-PER", "O", "O"])
    (True, False)
    """
    return from_spans(spans(labels), len(labels)) == list(labels)


def from_spans(found: Sequence[Span], length: int) -> list[str]:
    """Write spans that do not overlap as `length` BIOES labels."""
    labels = [OUTSIDE] * length
    for kind, start, end in found:
        labels[start:end] = [f"I-{kind}"] * (end - start)
        labels[start], labels[end - 1] = f"B-{kind}", f"E-{kind}"
        if end == start + 1:
            labels[start] = f"S-{kind}"
    return labels
