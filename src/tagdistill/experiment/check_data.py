"""Read the data of a config with the workflow's own readers, before anything is planned."""

from __future__ import annotations

import logging
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.data.prepare import Read, read_split
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.read import format_of
from tagdistill.data.sources.source import source_name
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.experiment.plan import Plan

log = logging.getLogger(__name__)
MIN_LOGGED_SIZE = 10_000_000  # bytes: reading takes some seconds
MIN_REPEATED = 0.5  # of the test sentences: more is rarely meant


class Part(NamedTuple):
    """The sentences `first` to `last` (from 1) of a file, as one split of one language has them, and their hashes."""

    language: str
    split: str
    file: str
    name: str
    first: int
    last: int
    sentences: list[int]
    repaired: int
    warnings: list[str]


def check_data(plan: Plan, where: str) -> list[str]:
    """Read every split whose file is here as `prepare` will, and return a summary and the warnings, one line each.

    `where` names the config file. Raises TagdistillError, with file and line, for the first thing that `prepare` would
    refuse. Sources that are not fetched yet are counted, not fetched.
    """
    parts: list[Part] = []
    not_fetched: set[str] = set()
    for language in plan.runs.languages:
        for split in plan.runs.splits(language):
            raw = plan.raw(language, split)
            if raw and not Path(raw).is_file():  # files of the user's own were checked by `check_files`
                not_fetched.add(raw)
            else:
                parts.append(_part(plan, language, split, Path(raw) if raw else None, where))
    warnings = [f"warning: {warning}" for part in parts for warning in part.warnings]
    return [_summary(parts, len(not_fetched)), *warnings, *_shared(parts), *_repeated(parts)]


def _part(plan: Plan, language: str, split: str, source: Path | None, where: str) -> Part:
    settings = plan.runs.languages[language]
    split_read = _read(plan, language, split, source, where)
    name = source_name(settings, split, source)
    file = str(source.resolve()) if source else name + (settings.code or language)
    archives = load_format(format_of(settings, settings.split(split))).archives
    if source and archives and source.name.endswith(archives):  # a member for each split
        file += f"/{settings.part(split)}"
    numbers = [sentence.number for sentence in split_read.sentences]
    first, last, repaired = numbers[0], numbers[-1], len(split_read.repaired)
    hashes = [hash(tuple(sentence.tokens)) for sentence in split_read.sentences]
    return Part(language, split, file, name, first, last, hashes, repaired, split_read.warnings)


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


def _summary(parts: Sequence[Part], not_fetched: int) -> str:
    facts = []
    if parts:
        sentences = sum(len(part.sentences) for part in parts)
        facts.append(f"{count(sentences, 'sentence')} in {count(len(parts), 'split')} read without errors")
    if repaired := sum(part.repaired for part in parts):
        facts.append(f"{count(repaired, 'badly started span')} will be repaired")
    if not_fetched:
        facts.append(f"{count(not_fetched, 'download')} not checked: not fetched yet")
    return f"Data: {'; '.join(facts)}."


def _shared(parts: Sequence[Part]) -> Iterator[str]:
    """Yield a warning for sentences that are trained or chosen on and scored on; two parts of one file share none."""
    labelled = [part for part in parts if part.split != "unlabelled"]
    for one, two in combinations(labelled, 2):
        first, last = max(one.first, two.first), min(one.last, two.last)
        if one.file == two.file and one.split != two.split and first <= last:
            names = f"{one.language}.{one.split} and {two.language}.{two.split}"
            yield f"warning: {names} are the same sentences, {first} to {last} of {one.name}"


def _repeated(parts: Sequence[Part]) -> Iterator[str]:
    """Yield a warning for test sets that are mostly in the training text of their language, in another file."""
    trained = {part.language: part for part in parts if part.split == "train"}
    for test in parts:
        train = trained.get(test.language)
        if test.split != "test" or train is None or train.file == test.file:
            continue
        known = set(train.sentences)
        if (found := sum(sentence in known for sentence in test.sentences)) > MIN_REPEATED * len(test.sentences):
            of = f"{found:,} of {count(len(test.sentences), 'sentence')}"
            yield f"warning: {of} of {test.language}.test also occur in {train.language}.train: {train.name}"
