"""Other readings of the same predictions, beside the main scores: with some spans or sentences left out.

`known_types`: predicted spans of types that the gold labels of the test set do not have (MISC on WikiAnn, say) are left
out; the main score counts them as errors, as Wang et al. 2020 do. `unrepeated`: test sentences that occur, word for
word, in text that students were trained on are left out: labelled or unlabelled, of any language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.data.span_counts import f1
from tagdistill.evaluation.significance import mean_and_sd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tagdistill.evaluation.analysis import Analysis, System

KINDS = ("known_types", "unrepeated")


@dataclass(frozen=True)
class Variant:
    """A main score beside its other reading, means over seeds; `left_out` counts spans or sentences, on average."""

    kind: str
    system: str
    role: str
    language: str
    main: float
    other: float
    left_out: float
    of: int


def variants(analysis: Analysis, repeats: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """Return all variants, in the order of the tables; `repeats` is of each language's test set, see `data.repeats`."""
    found = [
        known for role, system, language in _cells(analysis) if (known := _known(analysis, role, system, language))
    ]
    for role, system, language in _cells(analysis):
        places = (repeats.get(language) or {}).get("places") or []
        if places and (unrepeated := _unrepeated(analysis, role, system, language, places)):
            found.append(unrepeated)
    return found


def _cells(analysis: Analysis) -> Iterator[tuple[str, System, str]]:
    for role in ("trained", "zero_shot"):
        teachers = [
            system
            for decoder in analysis.decoders
            for system in ([analysis.teachers(decoder)] if role == "trained" else analysis.abroad(decoder))
        ]
        for system in [*teachers, *analysis.students]:
            for language in analysis.languages(role):
                if system.names(language):
                    yield role, system, language


def _known(analysis: Analysis, role: str, system: System, language: str) -> Variant | None:
    records = analysis.results.known_types
    models = [name for name in system.names(language) if (name, language) in records]
    if not models:
        return None
    known = [records[name, language] for name in models]
    main = mean_and_sd([analysis.score(name, language) for name in models])[0]
    other = mean_and_sd([record["f1"] for record in known])[0]
    left_out = float(np.mean([record["left_out"] for record in known]))
    predicted = round(float(np.mean([record["predicted"] for record in known])))
    return Variant("known_types", system.title, role, language, main, other, left_out, predicted)


def _unrepeated(analysis: Analysis, role: str, system: System, language: str, places: Sequence[int]) -> Variant | None:
    counts = [analysis.results.counts[language][name] for name in system.names(language)]
    if any(place >= len(rows) for rows in counts for place in places):  # a report of another test set
        return None
    kept = np.ones(len(counts[0]), dtype=bool)
    kept[list(places)] = False
    if not kept.any():
        return None
    main = float(np.mean([f1(rows.sum(axis=0)) for rows in counts]))
    other = float(np.mean([f1(rows[kept].sum(axis=0)) for rows in counts]))
    return Variant("unrepeated", system.title, role, language, main, other, len(places), len(kept))
