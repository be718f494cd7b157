"""Warnings of too little unlabelled text: batches of it stand in the place of labelled ones, and say the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tagdistill.experiment.plan import Plan
    from tagdistill.settings.distill import Distill

# Times that unlabelled text is read for once that labelled text is. From runs on treebanks (docs/results/map.md and
# evidence-pos-little-text.md): read 1.5 times as often it does no harm, at 6 students are below the baseline.
MOST = 3.0
ENOUGH = 1.5


class _Reading(NamedTuple):
    """What students read beside labelled text: batches for a labelled one, the key that says so, and of which words."""

    ratio: float
    key: str
    words: int


def little_text(plan: Plan, labelled: Mapping[str, int], unlabelled: Mapping[str, int]) -> list[str]:
    """Return a warning for each amount of unlabelled text that students read too often, a line each.

    `labelled` and `unlabelled` count the words of languages, as far as they are known.
    """
    if not all(language in labelled for language in plan.runs.trained):
        return []
    gold = sum(labelled[language] for language in plan.runs.trained)
    readers: dict[_Reading, list[str]] = {}
    for name in plan.runs.objectives:
        languages = plan.runs.seen(name, "unlabelled")
        if languages and all(language in unlabelled for language in languages):
            words = sum(unlabelled[language] for language in languages)
            reading = _Reading(plan.runs.objective(name).unlabelled_ratio, _key(plan.experiment.distill, name), words)
            if reading.ratio * gold > MOST * words:
                readers.setdefault(reading, []).append(name)
    return [_warning(reading, gold, names) for reading, names in readers.items()]


def _key(distill: Distill, name: str) -> str:
    number = distill.names.index(name)
    own = getattr(distill.objectives[number], "unlabelled_ratio", None)
    return "distill.unlabelled_ratio" if own is None else f"distill.objectives.{number}.unlabelled_ratio"


def _warning(reading: _Reading, gold: int, names: list[str]) -> str:
    times = f"{reading.ratio * gold / reading.words:.0f} times as often as"
    enough = max(0.1, int(10 * ENOUGH * reading.words / gold) / 10)
    return (
        f"warning: the students of {', '.join(names)} read {count(reading.words, 'unlabelled word')} {times} "
        f"{count(gold, 'labelled word')}: they may end below the baseline. Set `{reading.key}: {enough:g}` or less, or "
        "give more text"
    )
