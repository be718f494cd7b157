"""Other scores of the same models and texts, beside the main ones.

`unconstrained`, `constrained`: the best labels of the other decoding. `conlleval`: those of unconstrained decoding, as
conlleval reads them: ill-formed labels hold spans, too.
`known_types`: predicted spans of types that the gold labels of the test set do not have (MISC on WikiAnn, say) are left
out; the main score counts them as errors, as Wang et al. 2020 do. `unrepeated`: test sentences that are written like
one that students were trained on, however they are split into words, are left out: labelled or unlabelled, of any
language.
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

READINGS = ("unconstrained", "constrained", "conlleval")  # of the spans of a task
KINDS = (*READINGS, "known_types", "unrepeated")


@dataclass(frozen=True)
class Variant:
    """A main score beside another one, means over seeds.

    `affected` counts, on average, the spans or sentences that are left out, or the sentences whose labels are
    ill-formed without constraints.
    """

    kind: str
    system: str
    role: str
    language: str
    main: float
    other: float
    affected: float
    of: int


def variants(analysis: Analysis, repeats: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """Return all variants, in the order of the tables; `repeats` is of each language's test set, see `data.repeats`."""
    found = [
        reading
        for role, system, language in _cells(analysis)
        for kind in READINGS
        if (reading := _reading(analysis, kind, role, system, language))
    ]
    found += [
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
            for system in (
                analysis.own_and_shared(decoder)
                if role == "trained"
                else [*analysis.abroad(decoder), *analysis.shared_teachers(decoder)]
            )
        ]
        for system in [*teachers, *analysis.students]:
            for language in analysis.languages(role):
                if system.names(language):
                    yield role, system, language


def _reading(analysis: Analysis, kind: str, role: str, system: System, language: str) -> Variant | None:
    models = system.names(language)
    records = [analysis.results.further[name, language] for name in models]
    if not all(record.keys() >= {kind, "conlleval"} for record in records):
        return None
    main = mean_and_sd([analysis.score(name, language) for name in models])[0]
    other = mean_and_sd([record[kind]["f1"] for record in records])[0]
    ill_formed = float(np.mean([record["conlleval"]["ill_formed"] for record in records]))
    return Variant(
        kind, system.title, role, language, main, other, ill_formed, len(analysis.results.counts[language][models[0]])
    )


def _known(analysis: Analysis, role: str, system: System, language: str) -> Variant | None:
    records, models = analysis.results.known_types, system.names(language)
    if not any((name, language) in records for name in models):
        return None
    # A seed that predicts none of these spans has no record of its own: nothing is left out.
    known = [records.get((name, language)) or _nothing_left_out(analysis, name, language) for name in models]
    main = mean_and_sd([analysis.score(name, language) for name in models])[0]
    other = mean_and_sd([record["f1"] for record in known])[0]
    affected = float(np.mean([record["left_out"] for record in known]))
    predicted = round(float(np.mean([record["predicted"] for record in known])))
    return Variant("known_types", system.title, role, language, main, other, affected, predicted)


def _nothing_left_out(analysis: Analysis, model: str, language: str) -> dict[str, Any]:
    predicted = int(analysis.results.counts[language][model][:, 1].sum())
    return {"f1": analysis.score(model, language), "left_out": 0, "predicted": predicted}


def _unrepeated(analysis: Analysis, role: str, system: System, language: str, places: Sequence[int]) -> Variant | None:
    counts = [analysis.results.counts[language][name] for name in system.names(language)]
    if any(place >= len(rows) for rows in counts for place in places):  # a report of another test set
        return None
    kept = np.ones(len(counts[0]), dtype=bool)
    kept[list(places)] = False
    if not counts[0][kept, 2].any():  # no sentence is left, or no span: F1 would be 0 whatever is predicted
        return None
    main = float(np.mean([f1(rows.sum(axis=0)) for rows in counts]))
    other = float(np.mean([f1(rows[kept].sum(axis=0)) for rows in counts]))
    return Variant("unrepeated", system.title, role, language, main, other, len(places), len(kept))
