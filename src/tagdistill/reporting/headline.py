"""What the report says first, in sentences: what was trained, what is best, and what is clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagdistill.formatting import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.evaluation.analysis import Analysis, Comparison, Group, System, Value
    from tagdistill.evaluation.significance import Interval
    from tagdistill.reporting.facts import Run
    from tagdistill.settings.experiment import Experiment

TASKS = {"pos": "part-of-speech tagging", "ner": "named entity recognition", "aspect": "aspect extraction"}


@dataclass(frozen=True)
class Number:
    """A number at the head of the page; `tone` is good, bad or plain."""

    title: str
    text: str
    detail: str
    tone: str = "plain"


def trained(analysis: Analysis) -> str:
    """Say what was trained, in one sentence."""
    experiment = analysis.results.experiment
    languages = ", ".join(experiment.languages)
    unseen = f", tested zero-shot on {len(experiment.zero_shot)} more" if experiment.zero_shot else ""
    return (
        f"One multilingual student for {TASKS[experiment.task]} in {count(len(experiment.languages), 'language')} "
        f"({languages}){unseen}; {count(len(experiment.distill.objectives), 'objective')}, "
        f"{count(len(experiment.seeds), 'seed')} each."
    )


def numbers(analysis: Analysis) -> list[Number]:
    """Return the few numbers that sum the experiment up."""
    found = [number for group in analysis.groups if (number := _best_number(analysis, group))]
    return [*found, *_gap_number(analysis)]


def _best_number(analysis: Analysis, group: Group) -> Number | None:
    best = best_of(analysis, group)
    if best is None:
        return None
    system, value = best
    if all_equal(analysis, group):
        return Number(f"{group.title}: all alike", score(value), "no student is better than another")
    title = f"{group.title}: best is {system.title}"
    comparison = _comparison(analysis, system.key, group)
    if comparison is None:
        return Number(title, score(value), "a student without teachers")
    tone = {"better": "good", "worse": "bad"}.get(comparison.verdict, "plain")
    return Number(title, score(value), f"{difference(comparison.difference)} over {comparison.reference}", tone)


def _gap_number(analysis: Analysis) -> list[Number]:
    gaps = [gap for gap in analysis.gaps if not gap.language]
    closed = [gap for gap in gaps if gap.closed]
    if not gaps:
        return []
    if not closed:
        widest = max(gaps, key=lambda gap: gap.gap.value)
        return [Number("No gap to close", difference(widest.gap), f"teachers against {widest.reference}")]
    best = max(closed, key=lambda gap: gap.closed.value if gap.closed else 0.0)
    assert best.closed is not None
    tone = "good" if best.closed.above_zero else "plain"
    return [Number(f"Gap closed by {best.objective}", per_cent(best.closed), f"of {best.gap.value:.2f} points", tone)]


def findings(analysis: Analysis) -> list[str]:
    """Say for each group of languages what is best and whether that is clear, and how large the gap was."""
    found = [text for group in analysis.groups if (text := _finding(analysis, group))]
    return [*found, *_gap_findings(analysis)]


def _finding(analysis: Analysis, group: Group) -> str | None:
    best = best_of(analysis, group)
    if best is None:
        return None
    system, value = best
    others = [c for c in analysis.comparisons if c.group == group.key and analysis.student(c.system)]
    better, worse = ([c for c in others if c.verdict == verdict] for verdict in ("better", "worse"))
    if all_equal(analysis, group):
        return f"{group.title}: every student averages {value.mean:.2f}: none is better than another."
    text = f"{group.title}: the highest average is {system.title} with {score(value)}."
    if others and not better:
        text += " No objective is clearly better than its reference."
    if better:
        text += f" Clearly better than the reference: {_listed(better)}."
    if worse:
        text += f" Clearly worse: {_listed(worse)}."
    return text


def _listed(found: Sequence[Comparison], most: int = 3) -> str:
    """Name comparisons, with their numbers where they are few (the table has them all)."""
    if len(found) > most:
        return ", ".join(c.title for c in found)
    return ", ".join(f"{c.title} ({difference(c.difference)} over {c.reference})" for c in found)


def _gap_findings(analysis: Analysis) -> list[str]:
    found, seen = [], set()
    for gap in analysis.gaps:
        if gap.language or (gap.reference, gap.decoder) in seen:
            continue
        seen.add((gap.reference, gap.decoder))
        between = f"The teachers average {gap.teachers:.2f}, {gap.reference} {gap.baseline:.2f}"
        if gap.closed:
            found.append(f"{between}: a gap of {difference(gap.gap)} to close.")
        else:
            found.append(
                f"{between} ({difference(gap.gap)}): no gap to close, because the teachers are not clearly better. "
                "What distillation gains here, if anything, is not a share of a gap."
            )
    return found


def notes(analysis: Analysis, runs: Sequence[Run]) -> list[str]:
    """Return what a reader must know before trusting the numbers."""
    experiment, found = analysis.results.experiment, []
    found += _demonstration(experiment)
    if len(experiment.seeds) == 1:
        found.append("One seed: how much the scores vary with the seed is not known.")
    if missing := analysis.results.missing:
        found.append(f"{count(len(missing), 'result')} missing (shown as –): {_some(missing)}.")
    if unequal := _unequal(runs):
        found.append(f"Not all students had the same number of updates: {unequal}. Compare at equal updates.")
    return found


def _demonstration(experiment: Experiment) -> list[str]:
    every = {**experiment.languages, **experiment.zero_shot}
    made_up = [name for name, language in every.items() if language.source == "demo"]
    if not made_up:
        return []
    if len(made_up) < len(every):
        return [
            f"Part of this is demonstration data, written for this project ({', '.join(made_up)}): "
            "its numbers show that the steps work, no more."
        ]
    return [
        "This is demonstration data, written for this project: the numbers show that the steps work, no more. "
        "docs/results.md, in the project's folder, has results on real data."
    ]


def _unequal(runs: Sequence[Run]) -> str:
    updates: dict[str, set[int]] = {}
    for run in runs:
        if run.model.objective and run.summary.get("updates") is not None:
            updates.setdefault(run.model.objective, set()).add(run.summary["updates"])
    if len(set().union(*updates.values())) < 2:
        return ""
    return ", ".join(f"{name} {'/'.join(map(str, sorted(found)))}" for name, found in updates.items())


def best_of(analysis: Analysis, group: Group) -> tuple[System, Value] | None:
    """Return the students of the highest average, None where no average is complete."""
    found = [(system, analysis.average(system, group)) for system in analysis.students]
    whole = [(system, value) for system, value in found if value is not None]
    return max(whole, key=lambda pair: pair[1].mean, default=None)


def all_equal(analysis: Analysis, group: Group) -> bool:
    """Return whether several students were compared and all show the same average."""
    found = [analysis.average(system, group) for system in analysis.students]
    return len(found) > 1 and len({f"{value.mean:.2f}" for value in found if value is not None}) == 1


def _comparison(analysis: Analysis, system: str, group: Group) -> Comparison | None:
    return next((c for c in analysis.comparisons if (c.system, c.group) == (system, group.key)), None)


def score(value: Value) -> str:
    """Write a mean with its spread."""
    return f"{value.mean:.2f}" + ("" if value.sd is None else f" ± {value.sd:.2f}")


def difference(found: Interval) -> str:
    """Write a difference in points with its 95 % interval."""
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def per_cent(found: Interval) -> str:
    """Write a share with its 95 % interval."""
    return f"{found.value:.0f} % [{found.low:.0f}, {found.high:.0f}]"


def _some(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more (tables/missing.tsv)"
