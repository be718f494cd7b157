"""Teachers that are worse than the students without teachers: what they teach may do harm."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.experiment.runs import Runs
from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.evaluation.analysis import Analysis, System
    from tagdistill.reporting.facts import Run

LEAST = 0.05  # points: less is shown as 0.0
MAX_NAMED = 10


class Weak(NamedTuple):
    """A teacher that is below its reference by so many points, on the dev or the test set of its language."""

    language: str
    points: float
    text: str


def weak_teachers(analysis: Analysis, runs: Sequence[Run]) -> list[str]:
    """Return a warning for the teachers that are below the students without teachers, the worst first.

    They are compared on dev, with the mean over the students' seeds; where dev scores are missing, on test.
    """
    texts = []
    for decoder in analysis.decoders:
        if (reference := analysis.reference_of_teachers(decoder)) is None:
            continue
        found = sorted(_weak(analysis, runs, decoder, reference), key=lambda each: -each.points)
        texts += [
            _warning(weak, decoder, reference.title, text)
            for text in ("dev", "test")
            if (weak := [each for each in found if each.text == text])
        ]
    return texts


def _weak(analysis: Analysis, runs: Sequence[Run], decoder: str, reference: System) -> Iterator[Weak]:
    seed, teachers = Runs(analysis.results.experiment).teaching_seed, analysis.teaching(decoder)
    for language in analysis.results.experiment.languages:
        taught = [run for run in runs if run.model.teacher == language and run.model.decoder == decoder]
        ours = _dev([run for run in taught if run.model.seed == seed(language)], language)
        theirs = _dev([run for run in runs if run.model.objective == reference.key], language)
        text = "dev" if ours and theirs else "test"
        if text == "test":
            ours, theirs = ([analysis.score(x, language) for x in s.names(language)] for s in (teachers, reference))
        if ours and theirs and fmean(theirs) - fmean(ours) >= LEAST:
            yield Weak(language, fmean(theirs) - fmean(ours), text)


def _dev(runs: Sequence[Run], language: str) -> list[float]:
    """Return the dev scores in a language of those models that have one."""
    scores = [(run.summary.get("dev_scores") or {}).get(language) for run in runs]
    return [score for score in scores if score is not None]


def _warning(found: Sequence[Weak], decoder: str, reference: str, text: str) -> str:
    listed = ", ".join(f"{each.language} ({each.points:.1f} points)" for each in found[:MAX_NAMED])
    if len(found) > MAX_NAMED:
        listed += f" and {count(len(found) - MAX_NAMED, 'other language')}"
    who, them = ("teacher", "it") if len(found) == 1 else ("teachers", "them")
    verb = "is" if len(found) == 1 else "are"
    kind = "softmax " if decoder == "softmax" else ""
    return (
        f"The {kind}{who} of {listed} {verb} below the student `{reference}` on {text}: students that learn from "
        f"{them} may lose by it. Train {them} longer (`teacher.updates`), give {them} more labelled text, fine-tune "
        f"the encoder (`teacher.mode: finetune`), or let `distill.gate: soft` weigh {them} less."
    )
