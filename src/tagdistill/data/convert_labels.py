"""From the tags of a file to labels of the label space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.labels import prefix_and_type, types_of
from tagdistill.data.schemes import BadTag, to_bioes
from tagdistill.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.data.readers.lines import Sentence
    from tagdistill.data.schemes import Scheme
    from tagdistill.settings.language import Language


def convert(
    sentences: list[Sentence],
    space: tuple[str, ...],
    settings: Language,
    scheme: Scheme,
    task: str,
    name: str,
    *,
    whose: str = "the label space",
) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """Return the labels of each sentence, and the repaired tags as (sentence, position).

    `name` is the file and `whose` the label list `space` in errors. Raises DataError, with the line, for a tag that is
    not of the scheme (or breaks it, with `strict`), and for a label that the list does not hold.
    """
    if task == "pos":
        written = [[settings.label_map.get(tag, tag) for tag in sentence.tags or []] for sentence in sentences]
        _check_known(sentences, written, space, name, whose)
        return written, []
    written, repaired = [], []
    for number, sentence in enumerate(sentences):
        labels, broken = _bioes(sentence, scheme, settings, name)
        repaired += [(number, position) for position in broken]
        written.append(labels)
    _check_known(
        sentences,
        [[prefix_and_type(label)[1] or None for label in labels] for labels in written],
        types_of(space),
        name,
        whose,
    )
    return written, repaired


def _bioes(sentence: Sentence, scheme: Scheme, settings: Language, name: str) -> tuple[list[str], list[int]]:
    # A whole tag may be renamed as well, such as `_: O`; types are renamed once the spans are known.
    tags = [settings.label_map.get(tag, tag) for tag in sentence.tags or []]
    try:
        labels, broken = to_bioes(tags, scheme, settings.label_map)
    except BadTag as error:
        raise DataError(error.what, where=sentence.where(name, error.position), hint=error.hint) from error
    if broken and settings.strict:
        raise _broken(tags, broken[0], scheme, sentence.where(name, broken[0]))
    return labels, broken


def _broken(tags: list[str], position: int, scheme: Scheme, where: str) -> DataError:
    other = " Or use `scheme: IOB1`, if the file is written so." if scheme == "IOB2" else ""
    return DataError(
        f"tag {tags[position]!r} {neighbour(tags, position)} breaks {scheme}",
        where=where,
        hint=f"Leave out `strict: true` to have it read as conlleval does.{other}",
    )


def _check_known(
    sentences: list[Sentence], rows: Sequence[Sequence[str | None]], known: Sequence[str], name: str, whose: str
) -> None:
    """Refuse the first label (of spans: type, None outside) that the label list does not hold."""
    for sentence, row in zip(sentences, rows, strict=True):
        for position, label in enumerate(row):
            if label is not None and label not in known:
                found = {label for row in rows for label in row if label is not None}
                raise unknown_label(label, known, sorted(found), sentence.where(name, position), whose)


def neighbour(tags: Sequence[str], position: int) -> str:
    """Return in words which tag comes before a position."""
    return f"after {tags[position - 1]!r}" if position else "at the start of the sentence"


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
