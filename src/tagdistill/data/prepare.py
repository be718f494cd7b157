"""From a raw file, or the demo, to one corpus table in the experiment's label space."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.artifacts.files import sha256_file, sha256_json
from tagdistill.data.corpus import write_corpus
from tagdistill.data.labels import BadTag, Scheme, label_list, prefix_and_type, to_bioes, types_of, unknown_label
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.readers.read import format_of, read, selected
from tagdistill.data.report import report, warnings
from tagdistill.data.sources.source import licence, load_source, source_name
from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.settings.language import Language

__all__ = ["prepare", "report"]
PLACES = 5  # repaired spans that are named; the rest are counted


def prepare(
    source: Path | None,
    out: Path,
    *,
    language: str,
    split: str,
    settings: Language,
    task: str,
    labels: str | Sequence[str],
    limit: int | None = None,
) -> list[str]:
    """Write the corpus of one split, and return what makes one doubt that it was read as meant.

    The arguments and errors are those of `read_split`.
    """
    found = read_split(source, language=language, split=split, settings=settings, task=task, labels=labels, limit=limit)
    sentences, written, repaired, notes, doubts = found
    name = source_name(settings, split, source)
    tokens = [sentence.tokens for sentence in sentences]
    write_corpus(
        out,
        ids=[f"{split}-{number:06d}" for number in range(1, len(sentences) + 1)],
        tokens=tokens,
        labels=written,
        source_ids=[sentence.source_id for sentence in sentences],
        lines=[sentence.line for sentence in sentences],
        multiword=[sentence.multiword for sentence in sentences],
        metadata={
            "language": language,
            "split": split,
            "task": task,
            "labels": list(label_list(task, labels)),
            "scheme": "tags" if task == "pos" else "BIOES",
            "source": name,
            "source_sha256": sha256_file(source) if source else sha256_json(tokens),
            "licence": licence(settings, source),
            "counts": dict(sorted(notes.items())) | {"repaired": len(repaired)},
            "repaired_places": [_place(sentences[n], position, name) for n, position in repaired[:PLACES]],
        },
    )
    return doubts


class Read(NamedTuple):
    """What a split holds: its sentences, their labels, repaired tags as (sentence, position), counts of the rest.

    `doubts` are warnings: what makes one doubt that it was read as meant.
    """

    sentences: list[Sentence]
    labels: list[list[str]] | None  # in the label space; None for text without labels
    repaired: list[tuple[int, int]]
    notes: Counter[str]
    doubts: list[str]


def read_split(
    source: Path | None,
    *,
    language: str,
    split: str,
    settings: Language,
    task: str,
    labels: str | Sequence[str],
    limit: int | None = None,
) -> Read:
    """Read one split into the label space of the experiment.

    `source` is the raw file as `sources.fetch` returns it, None for the demo; `limit` is the experiment's cap, after
    the split's own `take` and `limit`. Raises DataError with file and line for what the format, the scheme (with
    `strict`) or the label space does not allow.
    """
    space = label_list(task, labels)
    place = str(source or source_name(settings, split, source))
    notes: Counter[str] = Counter()
    sentences = _sentences(source, language, split, settings, limit, notes)
    doubts = warnings([sentence.tokens for sentence in sentences], place)
    if split == "unlabelled":
        return Read(sentences, None, [], notes, doubts)
    _check_task(source, task, settings, split, f"languages.{language}.{split}")
    written, repaired = convert(sentences, space, settings, _scheme(source, split, settings), task, place)
    return Read(sentences, written, repaired, notes, doubts)


def _scheme(source: Path | None, split: str, settings: Language) -> Scheme:
    """Return how spans are written: as the format or the built-in data have it, else as the config says."""
    if source is None:
        fixed = load_source(settings.source).scheme
    else:
        fixed = load_format(format_of(settings, settings.split(split))).scheme
    return fixed or settings.scheme


def _sentences(
    source: Path | None,
    language: str,
    split: str,
    settings: Language,
    limit: int | None,
    notes: Counter[str],
) -> list[Sentence]:
    if source:
        return list(read(source, settings, settings.split(split), name=split, limit=limit, notes=notes))
    pairs = load_source(settings.source).sentences(settings, split, language)
    cut = selected(iter(pairs), settings.split(split), limit)
    return [Sentence(tokens, labels or None, [], number=n) for n, (tokens, labels) in cut]


def _place(sentence: Sentence, position: int, name: str) -> str:
    tags = sentence.tags or []
    return f"{sentence.where(name, position)}: {tags[position]!r} {_after(tags, position)}"


def _after(tags: Sequence[str], position: int) -> str:
    return f"after {tags[position - 1]!r}" if position else "at the start of the sentence"


def _check_task(source: Path | None, task: str, settings: Language, split: str, where: str) -> None:
    """Refuse labels that are for another task, as far as the format or the built-in data say what they are for."""
    if source is None:
        name, tasks, hint = f"`source: {settings.source}`", load_source(settings.source).tasks, ""
    else:
        kind = format_of(settings, settings.split(split))
        form = load_format(kind)
        name, tasks, hint = f"`format: {kind}`", form.tasks, form.hint
    if tasks and task not in tasks:
        known = ", ".join(map(repr, tasks))
        raise ConfigError(f"{name} is labelled for the task {known}, not {task!r}", where=where, hint=hint or None)


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
        f"tag {tags[position]!r} {_after(tags, position)} breaks {scheme}",
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
