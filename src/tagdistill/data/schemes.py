"""Span schemes: files may come as IOB1, IOB2 or BIOES, and become BIOES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tagdistill.data.labels import OUTSIDE, from_spans, prefix_and_type, runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scheme = Literal["IOB1", "IOB2", "BIOES"]
PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}


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
    found = list(runs(tags))
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
