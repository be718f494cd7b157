"""From the tags of a file to labels of the label space."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tagdistill.data.labels import OUTSIDE, prefix_and_type, types_of
from tagdistill.data.readers.columns import NAMES_OF_COLUMNS
from tagdistill.data.readers.lines import comment_hint
from tagdistill.data.readers.notes import REPAIRED, UNWANTED
from tagdistill.data.schemes import ALL_LETTERS, BadTag, in_bioes, scheme_hint, to_bioes
from tagdistill.errors import DataError, nearest
from tagdistill.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tagdistill.data.readers.lines import Sentence
    from tagdistill.data.readers.notes import Notes
    from tagdistill.settings.language import Language
    from tagdistill.settings.names import Scheme

OTHERS = "*"  # in a label map: all names that neither it nor the label list has
MAX_LENGTH = 400  # characters of the labels that are listed
OR_O = ', where spans may also become O, and all others at once with `label_map: {"*": O}`; or add it to `labels:`.'


class Converted(NamedTuple):
    """The labels of each sentence; repaired tags and those that `"*"` renamed, as (sentence, position)."""

    labels: list[list[str]]
    repaired: list[tuple[int, int]]
    others: list[tuple[int, int]]


def convert(
    sentences: list[Sentence],
    space: tuple[str, ...],
    settings: Language,
    scheme: Scheme,
    task: str,
    name: str,
    *,
    whose: str = "the label space",
) -> Converted:
    """Convert the tags of sentences to the labels of `space`. A sentence may have a scheme of its own.

    `name` is the file and `whose` the label list in errors. Raises DataError, with the line, for a tag that is not of
    the scheme (or breaks it, with `strict`), and for a label that the list does not hold.
    """
    known = space if task == "pos" else types_of(space)
    if task == "pos":
        renames = _renames_of_tags(settings.label_map, known, sentences)
        written = [[renames.tags.get(tag, tag) for tag in sentence.tags or []] for sentence in sentences]
        repaired: list[tuple[int, int]] = []
    else:
        renames = _renames_of_spans(settings.label_map, known, sentences, scheme)
        written, repaired = _Spans(settings, scheme, renames, known, name).convert(sentences)
    _check_known(sentences, written, task, known, name, whose)
    return Converted(written, repaired, _places(sentences, renames.others))


def note_tags(sentences: Sequence[Sentence], converted: Converted, notes: Notes) -> None:
    """Note the tags that were repaired, and those that `"*"` in the label map renamed."""
    for kind, places in ((REPAIRED, converted.repaired), (UNWANTED, converted.others)):
        for number, position in places:
            tags = sentences[number].tags or []
            detail = f"{tags[position]!r} {neighbour(tags, position)}" if kind == REPAIRED else repr(tags[position])
            notes.add(kind, sentences[number].where("", position), detail)


class _Renames(NamedTuple):
    """What the label map renames: whole tags, types of spans, and the tags that it renames as all others."""

    tags: Mapping[str, str]
    types: Mapping[str, str]
    others: frozenset[str]


def _renames_of_tags(label_map: Mapping[str, str], known: Sequence[str], sentences: Sequence[Sentence]) -> _Renames:
    others: frozenset[str] = frozenset()
    if OTHERS in label_map:
        found = {tag for sentence in sentences for tag in sentence.tags or []}
        others = frozenset(found - {*known, *label_map})
    return _Renames({**label_map, **dict.fromkeys(others, label_map.get(OTHERS, ""))}, {}, others)


def _renames_of_spans(
    label_map: Mapping[str, str], known: Sequence[str], sentences: Sequence[Sentence], scheme: Scheme
) -> _Renames:
    """Return the renames of a file of spans: a new name may be a type, a whole tag such as `B-PER`, or O for both."""
    whole = {name: label for name, label in label_map.items() if _is_tag(label, known)}
    types = {name: label for name, label in label_map.items() if name not in whole or label == OUTSIDE}
    if OTHERS not in label_map:
        return _Renames(whole, types, frozenset())
    found = {(tag, sentence.scheme or scheme) for sentence in sentences for tag in sentence.tags or []}
    kinds = {tag: prefix_and_type(in_bioes(tag, own) or OUTSIDE)[1] for tag, own in found if tag not in whole}
    others = {tag: kind for tag, kind in kinds.items() if kind and kind not in known and kind not in label_map}
    return _Renames(whole, {**types, **dict.fromkeys(others.values(), label_map[OTHERS])}, frozenset(others))


def _is_tag(label: str, known: Sequence[str]) -> bool:
    """Return whether a new name in the label map is a whole tag (`B-PER`, `O`), not a type."""
    return label not in known and (label == OUTSIDE or (label[:1] in ALL_LETTERS and label[1:2] == "-"))


def _places(sentences: Sequence[Sentence], tags: frozenset[str]) -> list[tuple[int, int]]:
    """Return where some tags stand, as (sentence, position)."""
    if not tags:
        return []
    pairs = ((number, sentence.tags or []) for number, sentence in enumerate(sentences))
    return [(number, position) for number, row in pairs for position, tag in enumerate(row) if tag in tags]


class _Spans(NamedTuple):
    """How the spans of one file become labels."""

    settings: Language
    scheme: Scheme
    renames: _Renames
    types: Sequence[str]
    name: str

    def convert(self, sentences: Sequence[Sentence]) -> tuple[list[list[str]], list[tuple[int, int]]]:
        """Return the labels, and the repaired tags as (sentence, position)."""
        written, repaired = [], []
        for number, sentence in enumerate(sentences):
            try:
                labels, broken = self._labels(sentence)
            except BadTag as error:
                raise self._bad_tag(error, sentence, sentences) from error
            repaired += [(number, position) for position in broken]
            written.append(labels)
        return written, repaired

    def _labels(self, sentence: Sentence) -> tuple[list[str], list[int]]:
        # A whole tag may be renamed as well, such as `_: O`; types are renamed once the spans are known.
        tags, scheme = sentence.tags or [], sentence.scheme or self.scheme
        if self.renames.tags:
            tags = [self.renames.tags.get(tag, tag) for tag in tags]
        only_type = self.types[0] if len(self.types) == 1 else None
        labels, broken = to_bioes(tags, scheme, self.renames.types, only_type=only_type)
        if broken and self.settings.strict:
            raise _broken(tags, broken[0], scheme, sentence.where(self.name, broken[0]))
        return labels, broken

    def _bad_tag(self, error: BadTag, sentence: Sentence, sentences: Sequence[Sentence]) -> DataError:
        found = {tag for other in sentences for tag in other.tags or []}
        hint = scheme_hint(self.scheme, found, self.types, self.settings.label_map)
        if hint is None:
            hints = (
                comment_hint(sentence.tokens[error.position]),
                _header_hint(sentence) if sentence is sentences[0] and not error.position else "",
                "Check the tag column (`columns:`) and the `separator:`; tags that are types without a prefix are "
                f"`scheme: IO`; or rename the tag: `label_map: {{{printable(error.tag, keep='')}: ...}}`.",
            )
            hint = " ".join(filter(None, hints))
        return DataError(error.what, where=sentence.where(self.name, error.position), hint=hint)


def _header_hint(sentence: Sentence) -> str:
    """Return what to do where the first line of a file may be a header."""
    return f"If this line names the columns, `skip_lines: {sentence.line}` leaves it out." if sentence.line else ""


def _broken(tags: Sequence[str], position: int, scheme: Scheme, where: str) -> DataError:
    other = " Or use `scheme: IOB1`, if the file is written so." if scheme == "IOB2" else ""
    return DataError(
        f"tag {tags[position]!r} {neighbour(tags, position)} breaks {scheme}",
        where=where,
        hint=f"Leave out `strict: true` to have it read as conlleval does.{other}",
    )


def _check_known(
    sentences: list[Sentence], rows: list[list[str]], task: str, known: Sequence[str], name: str, whose: str
) -> None:
    """Refuse the first label (of spans: type) that the label list does not hold."""
    names = {label: label if task == "pos" else prefix_and_type(label)[1] for label in {x for row in rows for x in row}}
    unknown = {label for label, kind in names.items() if kind not in known and not (task != "pos" and not kind)}
    if not unknown:
        return
    for sentence, row in zip(sentences, rows, strict=True):
        for position, label in enumerate(row):
            if label in unknown:
                found = [kind for kind in set(names.values()) if kind or task == "pos"]
                hints = [comment_hint(sentence.tokens[position])]
                first = sentence is sentences[0] and not position
                if first and {sentence.tokens[position].casefold(), names[label].casefold()} & NAMES_OF_COLUMNS:
                    hints.append(_header_hint(sentence))
                where = sentence.where(name, position)
                error = unknown_label(names[label], known, found, where, whose, spans=task != "pos")
                raise error.at(error.where, hint=" ".join(filter(None, (error.hint, *hints))))


def neighbour(tags: Sequence[str], position: int) -> str:
    """Return in words which tag comes before a position."""
    return f"after {tags[position - 1]!r}" if position else "at the start of the sentence"


def unknown_label(
    label: str,
    known: Sequence[str],
    found: Sequence[str],
    where: str,
    whose: str = "the label space",
    *,
    spans: bool = True,
) -> DataError:
    """Return the error for a label or type outside the label space: what, where, the nearest name, all that occur.

    What to do is another thing where the label is none of spans, but a part of speech: these are fixed, and none is O.
    """
    names = ", ".join(printable(name, keep="") for name in sorted(found))
    if len(names) > MAX_LENGTH:
        names = f"{names[:MAX_LENGTH].rpartition(', ')[0] or names[:MAX_LENGTH]}, ..."
    shown = printable(label, keep="")
    rename = "Rename it" if spans else "Check the tag column (`columns:`, in `format: conll`), or rename it"
    return DataError(
        f"label {label!r} is not in {whose}",
        where=where,
        hint=f"{nearest(label, known)}\n  Found in this file: {names}. "
        f"{rename}: `label_map: {{{shown}: ...}}`{OR_O if spans else '.'}",
    )
