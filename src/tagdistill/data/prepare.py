"""From a raw file, or the demo, to one corpus table in the experiment's label space."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tagdistill.artifacts.files import sha256_file, sha256_json
from tagdistill.data.convert_labels import convert, note_tags
from tagdistill.data.corpus import write_corpus
from tagdistill.data.labels import label_list
from tagdistill.data.plausibility import check_spans, file_warnings, note_long
from tagdistill.data.readers.ending import ending_in_hint, ending_warnings
from tagdistill.data.readers.format import check_task, load_format
from tagdistill.data.readers.lines import Sentence, compact
from tagdistill.data.readers.notes import IN_TESTS, Notes, note_lines
from tagdistill.data.readers.read import format_of, read, selected
from tagdistill.data.same_sentences import not_in_tests, written
from tagdistill.data.sources.source import licence, load_source, source_name
from tagdistill.errors import PLAN_AGAIN, MismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.settings.language import Language
    from tagdistill.settings.names import Scheme


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
    tests: Sequence[Path] = (),
    sha256: str | None = None,
) -> Read:
    """Write the corpus of one split, and return what was read.

    `tests` are test corpora whose sentences are left out; `sha256` is the checksum of the file that the corpus is to be
    of. The other arguments and the errors are those of `read_split`; MismatchError where the file is another.
    """
    found = read_split(source, language=language, split=split, settings=settings, task=task, labels=labels, limit=limit)
    name = source_name(settings, split, source)
    if tests:
        found = _without(found, tests, name)
    sentences = found.sentences
    tokens = [sentence.tokens for sentence in sentences]
    source_sha256 = sha256_file(source) if source else sha256_json(tokens)
    if sha256 and source_sha256 != sha256:
        raise MismatchError("the file changed while the run was going on", where=name, hint=PLAN_AGAIN)
    write_corpus(
        out,
        ids=[f"{split}-{number:06d}" for number in range(1, len(sentences) + 1)],
        tokens=tokens,
        labels=found.labels,
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
            "source_sha256": source_sha256,
            "licence": licence(settings, source),
            "notes": found.notes.record(name),
            "warnings": [f"{name}: {warning}" for warning in found.warnings],
        },
    )
    return found


class Read(NamedTuple):
    """What a split holds: its sentences, their labels, and the reader's notes of the rest.

    A warning says why the file was probably not read as it was meant.
    """

    sentences: list[Sentence]
    labels: list[list[str]] | None  # in the label space; None for text without labels
    notes: Notes
    warnings: list[str]  # to be written after the file's name

    def lines(self, name: str) -> list[str]:
        """Return the notes and warnings as lines for people; `name` is the file's."""
        noted = [f"note: {line}" for line in note_lines(self.notes.record(name))]
        return [*noted, *(f"warning: {name}: {warning}" for warning in self.warnings)]


def _without(found: Read, tests: Sequence[Path], name: str) -> Read:
    """Return what was read without the sentences of test sets, which are noted."""
    kept = not_in_tests((written(each.tokens, each.multiword) for each in found.sentences), tests, name)
    for number in sorted(set(range(len(found.sentences))) - set(kept)):
        found.notes.add(IN_TESTS, found.sentences[number].where(""))
    return found._replace(
        sentences=[found.sentences[number] for number in kept],
        labels=found.labels and [found.labels[number] for number in kept],
    )


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
    with ending_in_hint(source, settings, split):
        return _read_split(source, language, split, settings, task, labels, limit)


def _read_split(
    source: Path | None,
    language: str,
    split: str,
    settings: Language,
    task: str,
    labels: str | Sequence[str],
    limit: int | None,
) -> Read:
    space = label_list(task, labels)
    place = str(source or source_name(settings, split, source))
    kind = format_of(settings, settings.split(split)) if source else ""
    notes = Notes()
    sentences = _sentences(source, language, split, settings, limit, notes)
    note_long(sentences, notes)
    warnings = [*ending_warnings(source, settings, split), *file_warnings(sentences, notes, kind)]
    if split == "unlabelled":
        return Read(sentences, None, notes, warnings)
    _check_task(source, task, settings, split, f"languages.{language}.{split}")
    converted = convert(sentences, space, settings, _scheme(source, settings), task, place)
    note_tags(sentences, converted, notes)
    if task != "pos":
        warnings += check_spans(converted, split, place, notes)
    return Read(sentences, converted.labels, notes, warnings)


def _scheme(source: Path | None, settings: Language) -> Scheme:
    """Return how spans are written: as the built-in data have it, else as the config says."""
    built_in = load_source(settings.source).scheme if source is None else None
    return built_in or settings.scheme


def _sentences(
    source: Path | None,
    language: str,
    split: str,
    settings: Language,
    limit: int | None,
    notes: Notes,
) -> list[Sentence]:
    if source:
        return compact(read(source, settings, settings.split(split), name=split, limit=limit, notes=notes))
    pairs = load_source(settings.source).sentences(settings, split, language)
    cut = selected(iter(pairs), settings.split(split), limit)
    return [Sentence(tokens, labels or None, [], number=n) for n, (tokens, labels) in cut]


def _check_task(source: Path | None, task: str, settings: Language, split: str, where: str) -> None:
    """Refuse labels that are for another task, as far as the format or the built-in data say what they are for."""
    if source is None:
        name, tasks, hint = f"`source: {settings.source}`", load_source(settings.source).tasks, ""
    else:
        kind = format_of(settings, settings.split(split))
        form = load_format(kind)
        name, tasks, hint = f"`format: {kind}`", form.tasks, form.hint
    check_task(name, tasks, task, where, hint)
