"""How much each language's teacher weighs, by its dev score against that of the students without teachers.

Tan et al. 2019 (Multilingual Neural Machine Translation with Knowledge Distillation, section 3.2) leave a teacher out
where the student is better than it on dev. Here the weight falls with the errors that it makes more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def read_gate(teachers: Mapping[str, Path], baseline: Path) -> dict[str, float]:
    """Return the weight of each language's teacher, from its training.json and that of the student without teachers.

    Raises DataError where a dev score is missing.
    """
    found = {}
    for language, path in teachers.items():
        ours, theirs = _dev(path, language), _dev(baseline, language)
        found[language] = gate(ours, theirs)
        log.info(
            "the teacher of %s weighs %.2f: %.2f on dev, the baseline %.2f", language, found[language], ours, theirs
        )
    return found


def _dev(summary: Path, language: str) -> float:
    scores = read_json(summary).get("dev_scores") or {}
    if language not in scores:
        hint = "`gate: soft` compares dev scores: train this model again, with a dev set of this language."
        raise DataError(f"no dev score of {language!r}", where=str(summary), hint=hint)
    return float(scores[language])
