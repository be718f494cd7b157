"""Label spaces, span schemes and what may follow what.

Inside the project spans are always written as BIOES; files may come as IOB1, IOB2 or BIOES.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tagdistill.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
OUTSIDE = "O"
PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}
STARTS, GOES_ON = "BS", "BI"  # labels that open a span, and those that leave one open

Scheme = Literal["IOB1", "IOB2", "BIOES"]
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
    if len(set(names)) < len(names):
        raise ConfigError(f"a type is given twice: {', '.join(names)}", where="labels")
    return tuple(names)


def has_spans(labels: Sequence[str]) -> bool:
    """Say whether a label list is one of spans, not a tag set."""
    return labels[0] == OUTSIDE and all(p in list("BIES") and kind for p, kind in map(prefix_and_type, labels[1:]))


def types_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the span types of a label list, in its order."""
    return tuple(dict.fromkeys(kind for _, kind in map(prefix_and_type, labels) if kind))


def prefix_and_type(label: str) -> tuple[str, str]:
    """Return prefix and type of a span label: ("B", "PER"), or ("O", ""). A type may hold hyphens itself."""
    prefix, _, kind = label.partition("-")
    return prefix, kind


def spans(labels: Sequence[str], *, lenient: bool = False) -> list[Span]:
    """Return (type, start, end exclusive) of every span in a sentence of BIOES labels.

    The strict reading counts only what is written as a whole: S, or B I* E of one type; anything else is no span.
    The lenient one reads as conlleval does: a span begins wherever the type changes, and ends at the next break.
    """
    return list(_runs(labels, "BIOES")) if lenient else list(_whole_spans(labels))


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
        if prefix not in GOES_ON:
            open_kind = ""


def _runs(tags: Sequence[str], scheme: str) -> Iterator[Span]:
    """Yield spans as conlleval reads them, which is what IOB1 means and how the other schemes are repaired."""
    start, previous = 0, (OUTSIDE, "")
    for position, (prefix, kind) in enumerate([*map(prefix_and_type, tags), (OUTSIDE, "")]):
        if previous[1] and (kind != previous[1] or prefix in STARTS or previous[0] in "ES"):
            yield previous[1], start, position
            previous = (OUTSIDE, "")
        if kind and not previous[1]:
            start = position
        previous = (prefix, kind)


def from_spans(found: Sequence[Span], length: int) -> list[str]:
    """Write spans that do not overlap as `length` BIOES labels."""
    labels = [OUTSIDE] * length
    for kind, start, end in found:
        labels[start:end] = [f"I-{kind}"] * (end - start)
        labels[start], labels[end - 1] = f"B-{kind}", f"E-{kind}"
        if end == start + 1:
            labels[start] = f"S-{kind}"
    return labels


def to_bioes(
    tags: Sequence[str], scheme: Scheme, label_map: Mapping[str, str] | None = None
) -> tuple[list[str], list[int]]:
    """Return BIOES labels of one sentence, and the positions that break the scheme and were repaired.

    Broken is an `I-` in IOB2 that starts a span, and in BIOES any label that its neighbours contradict; IOB1 has
    nothing to break. Types are renamed by `label_map` after the spans are found, so two neighbours that get one name
    stay two spans. Raises `BadTag` where a tag is not of the scheme.
    """
    for position, tag in enumerate(tags):
        _check_tag(tag, scheme, position)
    found = list(_runs(tags, scheme))
    if scheme == "BIOES":
        plain = from_spans(found, len(tags))
        repaired = [position for position, tag in enumerate(tags) if tag != plain[position]]
    else:
        repaired = [start for _, start, _ in found if scheme == "IOB2" and tags[start][0] == "I"]
    if label_map:
        renamed = ((label_map.get(kind, kind), start, end) for kind, start, end in found)
        found = [span for span in renamed if span[0] != OUTSIDE]
    return from_spans(found, len(tags)), repaired


class BadTag(ValueError):
    """A tag that its scheme does not know, and where in the sentence it stands."""

    def __init__(self, position: int, what: str, hint: str) -> None:
        self.position, self.what, self.hint = position, what, hint
        super().__init__(what)


def _check_tag(tag: str, scheme: str, position: int) -> None:
    prefix, kind = prefix_and_type(tag)
    if tag == OUTSIDE or (kind and len(prefix) == 1 and prefix in PREFIXES[scheme]):
        return
    if kind and len(prefix) == 1 and prefix in "ES":
        hint = "Use `scheme: BIOES` for this file."
    else:
        hint = "Check the tag column (`columns:`) and the `separator:`, or rename the tag with `label_map:`."
    known = ", ".join(["O", *(f"{letter}-TYPE" for letter in PREFIXES[scheme])])
    raise BadTag(position, f"tag {tag!r} is not {scheme} ({known})", hint)


def unknown_label(
    label: str, known: Sequence[str], found: Sequence[str], where: str, whose: str = "the label space"
) -> DataError:
    """Return the error for a label or type outside the label space: what, where, the nearest name, all that occur."""
    return DataError(
        f"label {label!r} is not in {whose}",
        where=where,
        hint=f"{nearest(label, known)}\n  Found in this file: {', '.join(sorted(found))}. "
        f"Rename it: `label_map: {{{label}: ...}}`, where spans may also become O; or add it to `labels:`.",
    )


class Transitions(NamedTuple):
    """What a well-formed label sequence may start with, hold side by side, and end with."""

    start: np.ndarray  # bool [labels]
    between: np.ndarray  # bool [labels, labels], [from, to]
    end: np.ndarray  # bool [labels]


def allowed_transitions(labels: Sequence[str]) -> Transitions:
    """Return the masks for constrained decoding: all true for a tag set, the rules of BIOES for spans."""
    if not has_spans(labels):
        return Transitions(np.ones(len(labels), bool), np.ones((len(labels),) * 2, bool), np.ones(len(labels), bool))
    before = np.array([_follows(OUTSIDE, label) for label in labels])
    between = np.array([[_follows(left, right) for right in labels] for left in labels])
    after = np.array([_follows(label, OUTSIDE) for label in labels])
    return Transitions(before, between, after)


def _follows(left: str, right: str) -> bool:
    (prefix, kind), (next_prefix, next_kind) = prefix_and_type(left), prefix_and_type(right)
    if prefix in GOES_ON:
        return next_prefix in "IE" and kind == next_kind
    return next_prefix in "OBS"


def is_well_formed(labels: Sequence[str]) -> bool:
    """Say whether a sequence of BIOES labels has no broken span."""
    padded = [OUTSIDE, *labels, OUTSIDE]
    return all(_follows(left, right) for left, right in pairwise(padded))
