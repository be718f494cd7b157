"""Teachers that are worse than the students without teachers: what they teach may do harm."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.evaluation.analysis import Analysis, System
    from tagdistill.reporting.facts import Run

LEAST = 0.05  # points: less is shown as 0.0
MAX_NAMED = 10


class Weak(NamedTuple):
    """A teacher that is below its reference by so many points, on the dev or the test set of a language."""

    language: str
    points: float
    text: str


def weak_teachers(analysis: Analysis, runs: Sequence[Run]) -> list[str]:
    """Return a warning for the teachers that are below the students without teachers, the worst first.

    They are compared on dev, with the mean over the students' seeds; where dev scores are missing, on test. Those of
    one language each are named together, those of several languages one by one.
    """
    texts = []
    for decoder in analysis.decoders:
        if (reference := analysis.reference_of_teachers(decoder)) is None:
            continue
        for name in ("", *analysis.runs.shared):
            found = sorted(_weak(analysis, runs, decoder, reference, name), key=lambda each: -each.points)
            texts += [
                _warning(weak, decoder, reference.title, name, gated=text == "dev" and _gated(analysis, decoder))
                for text in ("dev", "test")
                if (weak := [each for each in found if each.text == text])
            ]
    return texts


def _weak(analysis: Analysis, runs: Sequence[Run], decoder: str, reference: System, name: str) -> Iterator[Weak]:
    """Yield the languages where a teacher, or each language's own if it has no name, is below the reference."""
    for language in analysis.runs.taught(name) if name else analysis.runs.trained:
        teacher = name or language
        seed = analysis.runs.teaching_seed(teacher)
        taught = [
            run for run in runs if (run.model.teacher, run.model.decoder, run.model.seed) == (teacher, decoder, seed)
        ]
        ours = _dev(taught, language)
        theirs = _dev([run for run in runs if run.model.objective == reference.key], language)
        text = "dev" if ours and theirs else "test"
        if text == "test":
            models = [run.model.name for run in taught]
            ours, theirs = (_test(analysis, names, language) for names in (models, reference.names(language)))
        if ours and theirs and fmean(theirs) - fmean(ours) >= LEAST:
            yield Weak(language, fmean(theirs) - fmean(ours), text)


def _dev(runs: Sequence[Run], language: str) -> list[float]:
    """Return the dev scores in a language of those models that have one."""
    scores = [(run.summary.get("dev_scores") or {}).get(language) for run in runs]
    return [score for score in scores if score is not None]


def _test(analysis: Analysis, models: Sequence[str], language: str) -> list[float]:
    """Return the test scores in a language of those models that have one."""
    return [analysis.score(model, language) for model in models if analysis.is_scored(model, language)]


def _gated(analysis: Analysis, decoder: str) -> bool:
    """Whether every student of these teachers learns less from those that are weak on dev."""
    resolved = [analysis.runs.objective(name) for name in analysis.runs.objectives]
    return all(each.gate == "soft" for each in resolved if each.row.teacher_decoder == decoder)


def _warning(found: Sequence[Weak], decoder: str, reference: str, name: str, *, gated: bool) -> str:
    text = found[0].text
    listed = ", ".join(f"{each.language} ({each.points:.1f} points)" for each in found[:MAX_NAMED])
    if len(found) > MAX_NAMED:
        listed += f" and {count(len(found) - MAX_NAMED, 'other language')}"
    one, kind = bool(name) or len(found) == 1, "softmax " if decoder == "softmax" else ""
    who = f"{kind}teacher {'`' + name + '` in' if name else 'of' if one else ''}" if one else f"{kind}teachers of"
    verb, them = ("is", "it") if one else ("are", "them")
    key = f"teachers.{name}" if name else "teacher"
    more = [f"Train {them} longer (`{key}.updates`)", f"give {them} more labelled text"]
    more += [f"fine-tune the encoder (`{key}.mode: finetune`)"]
    harm = f"students that learn from {them} may lose by it"
    if gated:
        harm = (
            f"students weigh what {them if one else 'they'} teach{'es' if one else ''} by dev scores (`distill.gate`)"
        )
    elif text == "dev":
        more.append(f"let `distill.gate: auto` weigh {them} less")  # `soft` needs a dev set in every language
    return (
        f"The {who} {listed} {verb} below the student `{reference}` on {text}: {harm}. "
        f"{', '.join(more[:-1])}, or {more[-1]}."
    )
