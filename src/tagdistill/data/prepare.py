"""From a raw file, or the demo, to one corpus table in the experiment's label space."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.artifacts.files import sha256_file, sha256_json
from tagdistill.data.convert_labels import convert, neighbour
from tagdistill.data.corpus import write_corpus
from tagdistill.data.labels import label_list
from tagdistill.data.plausibility import warnings
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.readers.read import format_of, read, selected
from tagdistill.data.sources.source import licence, load_source, source_name
from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.data.schemes import Scheme
    from tagdistill.settings.language import Language

MAX_PLACES = 5  # repaired spans that are named; the rest are counted


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
    """Write the corpus of one split, and return the warnings of it.

    The arguments and errors are those of `read_split`.
    """
    found = read_split(source, language=language, split=split, settings=settings, task=task, labels=labels, limit=limit)
    sentences, written, repaired, notes, found_warnings = found
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
            "repaired_places": [_place(sentences[n], position, name) for n, position in repaired[:MAX_PLACES]],
        },
    )
    return found_warnings


class Read(NamedTuple):
    """What a split holds: its sentences, their labels, repaired tags as (sentence, position), counts of the rest.

    A warning says why the file was hardly read as it was meant.
    """

    sentences: list[Sentence]
    labels: list[list[str]] | None  # in the label space; None for text without labels
    repaired: list[tuple[int, int]]
    notes: Counter[str]
    warnings: list[str]


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
    read_warnings = warnings([sentence.tokens for sentence in sentences], place)
    if split == "unlabelled":
        return Read(sentences, None, [], notes, read_warnings)
    _check_task(source, task, settings, split, f"languages.{language}.{split}")
    written, repaired = convert(sentences, space, settings, _scheme(source, split, settings), task, place)
    return Read(sentences, written, repaired, notes, read_warnings)


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
    return f"{sentence.where(name, position)}: {tags[position]!r} {neighbour(tags, position)}"


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
