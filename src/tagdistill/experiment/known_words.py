"""How many words a split has, as far as a plan can know: of prepared corpora, else of small raw files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.parquet import read_header
from tagdistill.data.corpus import KIND
from tagdistill.data.prepare import read_split
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.experiment.plan import Plan

MAX_READ = 50_000_000  # bytes of raw files that are read for a plan, all together: some seconds


def known_words(plan: Plan, split: str, languages: Sequence[str]) -> dict[str, int]:
    """Return the words of a split in each of these languages.

    What is not there or cannot be read is left out: its own stage says so.
    """
    found: dict[str, int] = {}
    raw: dict[str, Path | None] = {}
    for language in languages:
        with suppress(TagdistillError, OSError):
            prepared, file = Path(plan.files.corpus(language, split)), plan.raw(language, split)
            if prepared.is_file():
                found[language] = int(read_header(prepared, KIND)["tokens"])
            elif file is None or Path(file).is_file():
                raw[language] = Path(file) if file else None
    if sum(file.stat().st_size for file in raw.values() if file) > MAX_READ:
        return found
    for language, source in raw.items():
        with suppress(TagdistillError, OSError):
            found[language] = _words(plan, language, split, source)
    return found


def _words(plan: Plan, language: str, split: str, source: Path | None) -> int:
    experiment = plan.experiment
    read = read_split(
        source,
        language=language,
        split=split,
        settings=plan.runs.languages[language],
        task=experiment.task,
        labels=experiment.labels,
        limit=getattr(experiment.limit, split),
    )
    return sum(len(sentence.tokens) for sentence in read.sentences)
