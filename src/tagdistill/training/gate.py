"""How much the teachers of each language weigh, by their dev scores against that of the student without teachers.

Tan et al. 2019 (Multilingual Neural Machine Translation with Knowledge Distillation, section 3.2) leave a teacher out
where the student is better than it on dev. Here the weight falls with the errors that it makes more.
"""

from __future__ import annotations

import logging
from statistics import fmean
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
PERFECT = 100.0  # per cent


def gate(teacher: float, baseline: float) -> float:
    """Return the weight of a teacher, 0 to 1, from dev scores in per cent: 1 up to the baseline's errors, 0 from twice.

    >>> gate(95.0, 90.0), gate(85.0, 90.0), gate(70.0, 90.0)
    (1.0, 0.5, 0.0)
    """
    errors, allowed = PERFECT - teacher, PERFECT - baseline
    if errors <= allowed:
        return 1.0
    return max(0.0, 2.0 - errors / allowed) if allowed > 0 else 0.0


def read_gate(
    gated: Mapping[str, Mapping[str, float]],
    dev_languages: Collection[str],
    teachers: Mapping[str, Path],
    baseline: Path,
) -> dict[str, float]:
    """Return what the teachers of each language weigh together, 0 to 1.

    gated: the teachers of each language and their weights in the average, with sum 1; teachers: the training.json of
    each; baseline: that of the student without teachers. In a language without a dev set a teacher weighs what it
    does in the mean of those that have one, and 1 where none has. Raises DataError where a dev score is missing.
    """
    theirs = _dev(baseline, dev_languages, dev_languages)
    weights = {}
    for name, path in teachers.items():
        needed = [language for language in dev_languages if name in gated.get(language, ())]
        weights[name] = {x: gate(score, theirs[x]) for x, score in _dev(path, dev_languages, needed).items()}
    for language, shares in gated.items():
        found = ", ".join(f"{name} {_weight(weights[name], language):.2f}" for name in shares)
        log.info("what the teachers of %s weigh, by their dev scores and the baseline's: %s", language, found)
    return {
        language: sum(share * _weight(weights[name], language) for name, share in shares.items())
        for language, shares in gated.items()
    }


def _weight(weights: Mapping[str, float], language: str) -> float:
    """Return the weight of a teacher in a language, or its mean where it has no dev score."""
    return weights[language] if language in weights else fmean(weights.values()) if weights else 1.0


def _dev(summary: Path, languages: Collection[str], needed: Collection[str]) -> dict[str, float]:
    """Return the dev scores of a model in those languages that have one. Raises DataError without a needed one."""
    scores = read_json(summary).get("dev_scores") or {}
    for language in needed:
        if language not in scores:
            hint = "`distill.gate` compares dev scores: train this model again, with a dev set of this language."
            raise DataError(f"no dev score of {language!r}", where=str(summary), hint=hint)
    return {language: float(scores[language]) for language in languages if language in scores}
