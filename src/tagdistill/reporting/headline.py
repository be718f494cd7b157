"""The head of the report, in sentences: what was trained, what is best, and what is clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagdistill.evaluation.significance import BETTER, BOTH, SENTENCES, WORSE
from tagdistill.formatting import count, series
from tagdistill.reporting.sections import VERDICTS
from tagdistill.settings.distill import OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.evaluation.analysis import Analysis, Comparison, Gap, Group, System, Value
    from tagdistill.evaluation.significance import Interval

SCORES = {"f1": "F1"}
TASKS = {"pos": "part-of-speech tagging", "ner": "named entity recognition", "aspect": "aspect extraction"}


@dataclass(frozen=True)
class Number:
    """A number at the head of the page; `tone` is good, bad or plain."""

    title: str
    text: str
    detail: str
    tone: str = "plain"


def score_name(analysis: Analysis) -> str:
    """Return the name of the main score, as a reader writes it; "score" where there are no results."""
    names = analysis.results.main["score"]
    name = str(names.iloc[0]) if len(names) else "score"
    return SCORES.get(name, name)


def trained(analysis: Analysis) -> str:
    """Say what was trained, in one sentence."""
    experiment = analysis.results.experiment
    languages = ", ".join(experiment.languages)
    unseen = f", tested zero-shot on {len(experiment.zero_shot)} more" if experiment.zero_shot else ""
    return (
        f"Multilingual students for {TASKS[experiment.task]} in {count(len(experiment.languages), 'language')} "
        f"({languages}){unseen}: {count(len(experiment.distill.names), 'objective')}, "
        f"{count(len(experiment.seeds), 'seed')} per objective."
    )


def numbers(analysis: Analysis) -> list[Number]:
    """Return the few numbers that summarise the experiment."""
    best = [number for group in analysis.groups if (number := _best_number(analysis, group))]
    return [*best, *_gap_number(analysis)]


def _best_number(analysis: Analysis, group: Group) -> Number | None:
    best = best_of(analysis, group)
    if not best:
        return None
    system, value = best[0]
    if all_equal(analysis, group):
        return Number(f"{group.title}: all equal", score(value), "all students have the same score")
    if len(best) > 1:
        title = f"{group.title}: best are {series([each.title for each, _ in best])}"
        return Number(title, f"{value.mean:.2f}", "with the same average")
    title = f"{group.title}: best is {system.title}"
    comparison = _comparison(analysis, system.key, group)
    if comparison is None:
        return Number(title, score(value), "trained without teachers")
    tone = VERDICTS[comparison.verdict]
    return Number(title, score(value), f"{difference(comparison.difference)} over {comparison.reference}", tone)


def _gap_number(analysis: Analysis) -> list[Number]:
    gaps = [gap for gap in analysis.gaps if not gap.language]
    closed = [gap for gap in gaps if gap.closed]
    if not gaps:
        return []
    if not closed:
        widest = max(gaps, key=lambda gap: (gap.gap.above_zero, gap.gap.value))
        title = widest.verdict.capitalize()
        return [Number(title, difference(widest.gap), f"teachers minus {widest.reference}")]
    best = max(closed, key=lambda gap: gap.closed.value if gap.closed else 0.0)
    assert best.closed is not None
    comparison = _comparison(analysis, best.objective, next(g for g in analysis.groups if g.key == "in_language"))
    tone = VERDICTS[comparison.verdict] if comparison else "plain"
    return [Number(f"Gap closed by {best.objective}", percentage(best.closed), f"of {best.gap.value:.2f} points", tone)]


def findings(analysis: Analysis) -> list[str]:
    """Say for each group of languages what is best and whether that is clear, and how large the gap was."""
    texts = [text for group in analysis.groups if (text := _finding(analysis, group))]
    return [*texts, *_gap_findings(analysis)]


def _finding(analysis: Analysis, group: Group) -> str | None:
    best = best_of(analysis, group)
    if not best:
        return None
    system, value = best[0]
    others = [c for c in analysis.comparisons if c.group == group.key and analysis.student(c.system)]
    better, worse = ([c for c in others if c.verdict == verdict] for verdict in (BETTER, WORSE))
    if all_equal(analysis, group):
        return f"{group.title}: all students have the same average, {value.mean:.2f}."
    if len(best) > 1:
        text = f"{group.title}: {series([each.title for each, _ in best])} have the highest average, {value.mean:.2f}."
    else:
        text = f"{group.title}: {system.title} has the highest average, {score(value)}."
    if not better and any(c.difference.p is not None for c in others):
        text += " No objective is clearly better than its reference."
    if better:
        text += f" Clearly better than the reference: {_listed(better)}."
    if worse:
        text += f" Clearly worse: {_listed(worse)}."
    return text


def _listed(comparisons: Sequence[Comparison], limit: int = 3) -> str:
    """Name the systems, with the differences where they are few (the table has them all)."""
    if len(comparisons) > limit:
        return ", ".join(c.title for c in comparisons)
    return ", ".join(f"{c.title} ({difference(c.difference)} over {c.reference})" for c in comparisons)


def _gap_findings(analysis: Analysis) -> list[str]:
    by_teachers: dict[tuple[str, ...], list[Gap]] = {}  # those of one teacher differ in their shares alone
    for gap in analysis.gaps:
        if not gap.language:
            by_teachers.setdefault((gap.reference, gap.decoder, gap.taught_by), []).append(gap)
    return [_gap_finding(gaps) for gaps in by_teachers.values()]


def _gap_finding(gaps: Sequence[Gap]) -> str:
    gap = gaps[0]
    by = "" if gap.taught_by == OWN else f" of {gap.objective} ({gap.taught_by})"
    averages = f"The teachers{by} average {gap.teachers:.2f} and {gap.reference} {gap.baseline:.2f}"
    if gap.gap.too_few:
        return f"{averages} ({difference(gap.gap)}): too few test sentences to tell whether that is a gap."
    if not gap.gap.above_zero:
        return (
            f"{averages} ({difference(gap.gap)}): no gap to close, because the teachers are not clearly better. "
            "Gains from distillation are therefore not given as a share of the gap."
        )
    text = f"{averages}: a gap of {difference(gap.gap)} to close."
    if unknown := [each.objective for each in gaps if not each.closed]:
        text += f" The seeds differ too much to tell which share of it {series(unknown)} closed."
    return text


def best_of(analysis: Analysis, group: Group) -> list[tuple[System, Value]]:
    """Return the students with the highest average, at the digits shown; none where no average is complete."""
    averages = [(system, analysis.average(system, group)) for system in analysis.students]
    complete = [(system, value) for system, value in averages if value is not None]
    most = f"{max((value.mean for _, value in complete), default=0.0):.2f}"
    return [(system, value) for system, value in complete if f"{value.mean:.2f}" == most]


def all_equal(analysis: Analysis, group: Group) -> bool:
    """Return whether several students were compared and all show the same average."""
    averages = [analysis.average(system, group) for system in analysis.students]
    return len(averages) > 1 and len({f"{value.mean:.2f}" for value in averages if value is not None}) == 1


def _comparison(analysis: Analysis, system: str, group: Group) -> Comparison | None:
    return next((c for c in analysis.comparisons if (c.system, c.group) == (system, group.key)), None)


def captions(family: Sequence[Interval], draws: int) -> dict[str, Any]:
    """Return what a page says about its intervals and verdicts, given all comparisons that it shows."""
    tested = sum(interval.p is not None for interval in family)
    covers = {interval.covers for interval in family}
    if BOTH in covers:
        but = ", except where one side has one seed" if SENTENCES in covers else ""
        sentences = f"the choice of test sentences (paired bootstrap, {draws:,} resamples)"
        interval = f"[ ] is the 95% interval: it covers {sentences} and of seeds{but}."
    else:
        interval = (
            f"[ ] is the 95% interval of a paired bootstrap over test sentences ({draws:,} resamples): "
            "it does not cover the choice of seeds."
        )
    after = (
        f" after Holm's correction for the {tested} comparisons of this page. "
        "An interval is of one comparison, without this correction."
    )
    alone = ". This page makes one comparison: there is nothing to correct."
    verdict = f"“Clearly” and the verdicts: p is below 0.05{alone if tested == 1 else after}"
    return {"family": tested, "interval_caption": interval, "verdict_caption": verdict}


def score(value: Value) -> str:
    """Write a mean with its spread."""
    return f"{value.mean:.2f}" + ("" if value.sd is None else f" ± {value.sd:.2f}")


def difference(points: Interval) -> str:
    """Write a difference in points with its 95% interval."""
    return f"{points.value:+.2f} [{points.low:+.2f}, {points.high:+.2f}]"


def percentage(share: Interval) -> str:
    """Write a share, given in per cent, with its 95% interval."""
    return f"{share.value:.0f}% [{share.low:.0f}, {share.high:.0f}]"
