"""Span schemes: how files write spans as tags of words. All become BIOES."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tagdistill.data.labels import OUTSIDE, from_spans, prefix_and_type, runs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tagdistill.settings.names import Scheme

# The prefixes of each scheme, and what they are in BIOES.
PREFIXES: dict[Scheme, dict[str, str]] = {
    "IOB1": {"B": "B", "I": "I"},
    "IOB2": {"B": "B", "I": "I"},
    "BIO": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S", "W": "S"},
    "IO": {"I": "I"},
}
UNTYPED = ("BIO", "BIOES", "BILOU", "BMES")  # schemes whose tags may lack the type
WHOLE = ("BIOES", "BILOU", "BMES")  # schemes that also mark where a span ends
ALL_LETTERS = frozenset("BIESLUMW")


def to_bioes(
    tags: Sequence[str], scheme: Scheme, label_map: Mapping[str, str] | None = None, *, only_type: str | None = None
) -> tuple[list[str], list[int]]:
    """Return BIOES labels of one sentence, and the positions that break the scheme and were repaired.

    Broken is an `I-` in IOB2 or BIO that starts a span, and in BIOES, BILOU and BMES any tag that its neighbours
    contradict; IOB1 and IO have nothing to break. In IO, tags may be types without a prefix. Tags without a type get
    `only_type`, except in IOB1, IOB2 and IO. Types are renamed by `label_map` after the spans are found, so two
    neighbours that get one name stay two spans. Raises `BadTag` where a tag is not of the scheme.
    """
    plain = []
    for position, tag in enumerate(tags):
        if (label := in_bioes(tag, scheme, only_type)) is None:
            raise BadTag(position, tag, scheme)
        plain.append(label)
    found = list(runs(plain))
    if scheme in WHOLE:
        whole = from_spans(found, len(tags))
        repaired = [position for position, label in enumerate(plain) if label != whole[position]]
    else:
        begin = "I" if scheme in ("IOB2", "BIO") else ""
        repaired = [start for _, start, _ in found if begin and plain[start][0] == begin]
    if label_map:
        renamed = ((label_map.get(kind, kind), start, end) for kind, start, end in found)
        found = [span for span in renamed if span[0] != OUTSIDE]
    return from_spans(found, len(tags)), repaired


@lru_cache(maxsize=4096)
def in_bioes(tag: str, scheme: Scheme, only_type: str | None = None) -> str | None:
    """Return a tag with its prefix as BIOES has it; None where it is not of the scheme."""
    if tag == OUTSIDE:
        return tag
    prefix, kind = prefix_and_type(tag)
    letter = PREFIXES[scheme].get(prefix)
    if letter and kind:
        return f"{letter}-{kind}"
    if scheme == "IO" and tag and not (prefix in ALL_LETTERS and (kind or "-" in tag)):
        return f"I-{tag}"
    if scheme in UNTYPED and letter and tag == prefix and only_type:
        return f"{letter}-{only_type}"
    return None


class BadTag(ValueError):
    """A tag that its scheme does not know, and where in the sentence it stands."""

    def __init__(self, position: int, tag: str, scheme: Scheme) -> None:
        self.position, self.tag = position, tag
        kinds = ["O", *(f"{letter}-TYPE" for letter in PREFIXES[scheme]), *(["TYPE"] if scheme == "IO" else [])]
        kinds += [*PREFIXES[scheme]] if scheme in UNTYPED else []
        self.what = f"tag {tag!r} is not {scheme} ({', '.join(kinds)})"
        super().__init__(self.what)


def scheme_hint(scheme: Scheme, tags: Collection[str], types: Collection[str], renamed: Collection[str]) -> str | None:
    """Return which scheme all `tags` of a file belong to, where they are not of `scheme`; None where none fits.

    `types` are those of the label list, and `renamed` what the label map renames.
    """
    others = [other for other in PREFIXES if other not in (scheme, "IO")]
    bare = [x for x in tags if in_bioes(x, scheme) is None]
    letters = {letter for prefixes in PREFIXES.values() for letter in prefixes}
    if letters.issuperset(bare) and len(types) > 1:
        names = ", ".join(f"{x}: {x}-TYPE" for x in sorted(bare))
        return f"The tags have no type, and `labels:` has {len(types)}: say which with `label_map: {{{names}}}`."
    fitting = [other for other in others if all(in_bioes(x, other, "TYPE") or x in renamed for x in tags)]
    if fitting:
        return f"Use `scheme: {fitting[0]}` for this file."
    if {*types, *renamed}.issuperset(bare):
        return "Use `scheme: IO` for this file: its tags are types without a prefix."
    return None
