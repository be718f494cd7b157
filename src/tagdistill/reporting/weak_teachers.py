"""Teachers that are worse than the students without teachers: what they teach may do harm."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.evaluation.analysis import Analysis, System
    from tagdistill.reporting.facts import Run

LEAST = 1.0  # points: with another seed, or other sentences, a model easily scores less than this higher or lower
MAX_NAMED = 10


class Weak(NamedTuple):
    """A teacher that is below its reference by so many points, on the dev or the test set of a language."""

    language: str
    points: float
    text: str


def weak_teachers(analysis: Analysis, runs: Sequence[Run]) -> list[str]:
    """Return a warning for the teachers that are clearly below the students without teachers, the worst first.

    Clearly: by LEAST points, and by more than the standard deviation of the students' seeds if there are several.
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
                _warning(analysis, weak, decoder, reference.title, name)
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
        if ours and theirs and _clearly_below(points := fmean(theirs) - fmean(ours), theirs):
            yield Weak(language, points, text)


def _clearly_below(points: float, reference: Sequence[float]) -> bool:
    """Whether so many points below the mean of the reference's seeds are more than chance."""
    spread = stdev(reference) if len(reference) > 1 else 0.0
    return points >= LEAST and points > spread


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


def _warning(analysis: Analysis, found: Sequence[Weak], decoder: str, reference: str, name: str) -> str:
    text = found[0].text
    gated = text == "dev" and _gated(analysis, decoder)
    listed = ", ".join(f"{each.language} ({each.points:.1f} points)" for each in found[:MAX_NAMED])
    if len(found) > MAX_NAMED:
        listed += f" and {count(len(found) - MAX_NAMED, 'other language')}"
    one, kind = bool(name) or len(found) == 1, "softmax " if decoder == "softmax" else ""
    who = f"{kind}teacher {'`' + name + '` in' if name else 'of' if one else ''}" if one else f"{kind}teachers of"
    verb, them = ("is", "it") if one else ("are", "them")
    more = _advice(analysis, [name] if name else [each.language for each in found], name, them)
    harm = f"students that learn from {them} may lose by it"
    if gated:
        harm = (
            f"students weigh what {them if one else 'they'} teach{'es' if one else ''} by dev scores (`distill.gate`)"
        )
    elif text == "dev":
        more.append(f"let `distill.gate: auto` weigh {them} less")  # `soft` needs a dev set in every language
    last = f"{', or ' if len(more) > 2 else ' or '}{more[-1]}"
    return f"The {who} {listed} {verb} below the student `{reference}` on {text}: {harm}. {', '.join(more[:-1])}{last}."


def _advice(analysis: Analysis, teachers: Sequence[str], name: str, them: str) -> list[str]:
    """Return what would make these teachers better, as far as their settings allow it."""
    key = f"teachers.{name}" if name else "teacher"
    settings = [analysis.runs.teacher(teacher) for teacher in teachers]
    length = "epochs" if all(each.epochs for each in settings) else "updates"
    more = [f"Train {them} longer (`{key}.{length}`)", f"give {them} more labelled sentences"]
    mixed = any(analysis.runs.teacher_encoder(teacher).mixed for teacher in teachers)
    if not mixed and all(each.mode == "frozen" and not each.vectors for each in settings):
        more.append(f"fine-tune the encoder (`{key}.mode: finetune`)")
    return more
