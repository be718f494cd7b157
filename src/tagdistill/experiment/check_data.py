"""Read the data of a config with the workflow's own readers, before anything is planned."""

from __future__ import annotations

import logging
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.data.labels import prefix_and_type
from tagdistill.data.prepare import Read, read_split
from tagdistill.data.readers.notes import REPAIRED
from tagdistill.data.same_sentences import written
from tagdistill.data.sources.source import source_name
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.experiment.few_updates import few_updates
from tagdistill.experiment.little_text import little_text
from tagdistill.experiment.shared_sentences import Part, shared
from tagdistill.formatting import count, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.experiment.plan import Plan

log = logging.getLogger(__name__)
MIN_LOGGED_SIZE = 10_000_000  # bytes: reading takes some seconds


class Checked(NamedTuple):
    """One split that was read: what `shared` compares, and what is reported of it."""

    part: Part
    repaired: int
    types: frozenset[str]  # of its spans; none of tags
    words: int
    lines: list[str]  # notes and warnings


def check_data(plan: Plan, where: str) -> list[str]:
    """Read every split whose file is here as `prepare` will; return a summary, the notes and the warnings, a line each.

    `where` names the config file. Raises TagdistillError, with file and line, for the first thing that `prepare` would
    refuse. Sources that are not fetched yet are counted, not fetched.
    """
    checked: list[Checked] = []
    not_fetched: set[str] = set()
    for language in plan.runs.languages:
        for split in plan.runs.splits(language):
            raw = plan.raw(language, split)
            if raw and not Path(raw).is_file():  # files of the user's own were checked by `check_files`
                not_fetched.add(raw)
            else:
                checked.append(_check(plan, language, split, Path(raw) if raw else None, where))
    for part in (each.part for each in checked if each.part.split == "train"):
        _check_folds(plan, part, where)
    lines = [line for split in checked for line in split.lines]
    lines += _missing_types(plan, checked) if not not_fetched else []
    labelled = [split.part for split in checked if split.part.split != "unlabelled"]
    lines += shared(labelled, tests_left_out=plan.experiment.exclude_test_repeats)
    words = {split: _words(checked, split) for split in ("train", "unlabelled")}
    lines += [*few_updates(plan, words["train"]), *little_text(plan, words["train"], words["unlabelled"])]
    return [_summary(checked, len(not_fetched)), *(printable(line, keep="") for line in lines)]


def _words(checked: Sequence[Checked], split: str) -> dict[str, int]:
    return {each.part.language: each.words for each in checked if each.part.split == split}


def _check(plan: Plan, language: str, split: str, source: Path | None, where: str) -> Checked:
    settings = plan.runs.languages[language]
    found = _read(plan, language, split, source, where)
    name = str(source or source_name(settings, split, source))
    hashes = array("q", [hash(written(sentence.tokens, sentence.multiword)) for sentence in found.sentences])
    lines = array("q", [sentence.line for sentence in found.sentences])
    part = Part(f"{language}.{split}", language, split, name, hashes, lines, found.sentences[0].number)
    labels = {label for row in found.labels or [] for label in row} if plan.experiment.task != "pos" else set()
    types = frozenset(kind for _, kind in map(prefix_and_type, labels) if kind)
    reported = [line.replace(": ", f": {part.name}: ", 1) for line in found.lines(name)]
    words = sum(len(sentence.tokens) for sentence in found.sentences)
    return Checked(part, found.notes.count(REPAIRED), types, words, reported)


def _check_folds(plan: Plan, part: Part, where: str) -> None:
    """Refuse more folds than a language has different labelled sentences."""
    for name in (part.language, *plan.runs.shared):
        folds, sentences = plan.runs.folds(name, "train"), len(set(part.hashes))
        if part.language in plan.runs.taught(name) and folds > sentences:
            key = f"teachers.{name}" if name in plan.runs.shared else "teacher"
            what = f"{folds} folds, but {part.name} has {count(sentences, 'different sentence')}"
            hint = "Take fewer folds, or more labelled sentences."
            raise ConfigError(what, where=f"{where}: {key}.folds", hint=hint)


def _missing_types(plan: Plan, checked: Sequence[Checked]) -> list[str]:
    """Return a warning where no train file has a span of a type that the config lists."""
    if plan.experiment.task == "pos":
        return []
    trained = frozenset[str]().union(*(split.types for split in checked if split.part.split == "train"))
    missing = [kind for kind in plan.experiment.labels if kind not in trained]
    if not missing:
        return []
    return [f"warning: `labels:` lists {', '.join(missing)}, of which no train file has a span"]


def _read(plan: Plan, language: str, split: str, source: Path | None, where: str) -> Read:
    if source and source.stat().st_size > MIN_LOGGED_SIZE:
        log.info("reading %s", source)
    try:
        return read_split(
            source,
            language=language,
            split=split,
            settings=plan.runs.languages[language],
            task=plan.experiment.task,
            labels=plan.experiment.labels,
            limit=getattr(plan.experiment.limit, split),
        )
    except TagdistillError as error:
        if source and not isinstance(error, ConfigError):
            raise  # it names the file
        group = "languages" if language in plan.runs.trained else "zero_shot"
        place = (error.where or "").removeprefix(f"languages.{language}").lstrip(".")
        joint = "." if isinstance(error, ConfigError) and place else ": "
        raise error.at(f"{where}: {group}.{language}{joint}{place}".removesuffix(": ")) from None


def _summary(checked: Sequence[Checked], not_fetched: int) -> str:
    facts = []
    if checked:
        sentences = sum(len(split.part.hashes) for split in checked)
        facts.append(f"{count(sentences, 'sentence')} in {count(len(checked), 'split')} read without errors")
    if repaired := sum(split.repaired for split in checked):
        facts.append(f"{count(repaired, 'badly started span')} will be repaired")
    if not_fetched:
        facts.append(f"{count(not_fetched, 'download')} not checked: not fetched yet")
    return f"Data: {'; '.join(facts)}."
