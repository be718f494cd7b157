"""What a reader of the report must know before trusting its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.evaluation.significance import FEW_SENTENCES, LEAST_SENTENCES
from tagdistill.formatting import count, listed, series
from tagdistill.reporting.facts import splits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tagdistill.data.span_counts import Counts
    from tagdistill.evaluation.analysis import Analysis
    from tagdistill.reporting.facts import Reports, Run
    from tagdistill.settings.experiment import Experiment

SHOWN = 6  # files that are named


def notes(analysis: Analysis, runs: Sequence[Run], reports: Reports) -> list[str]:
    """Return a text for each of them; none where there is nothing to say."""
    experiment, counts = analysis.results.experiment, analysis.results.counts
    sizes = {language: len(next(iter(models.values()))) for language, models in counts.items()}
    return [
        *_demonstration(experiment),
        *_one_seed(experiment),
        *_seen_text(analysis),
        *_bare_tests(counts),
        *small_tests(sizes),
        *_small_dev_sets(reports),
        *_missing(analysis.results.missing),
        *_damaged_logs(runs),
        *_unequal_updates(runs),
    ]


def small_tests(sizes: Mapping[str, int]) -> list[str]:
    """Say which languages have few test sentences, given how many each has."""
    if not (few := _few(sizes)):
        return []
    text = f"Small test sets: {_listed(few)}."
    text += f" With fewer than {FEW_SENTENCES} sentences intervals are too narrow, and verdicts false too often."
    if min(few.values()) < LEAST_SENTENCES:
        text += f" With fewer than {LEAST_SENTENCES} there is no verdict, and none of an average over such a language."
    return [text]


def bare_tests(languages: Sequence[str]) -> list[str]:
    """Say which test sets have no span, given them."""
    if not languages:
        return []
    return [f"No span in the test set of {series(languages)}: F1 is 0 there whatever a model predicts."]


def _demonstration(experiment: Experiment) -> list[str]:
    every = {**experiment.languages, **experiment.zero_shot}
    made_up = [name for name, language in every.items() if language.source == "demo"]
    if not made_up:
        return []
    if len(made_up) < len(every):
        return [
            f"Part of this is demonstration data, written for this project ({', '.join(made_up)}): "
            "its scores show only that the workflow works."
        ]
    return [
        "This is demonstration data, written for this project: the scores show only that the workflow works. "
        "For results on real data see docs/results/index.md in the project's folder."
    ]


def _one_seed(experiment: Experiment) -> list[str]:
    if len(experiment.seeds) > 1:
        return []
    return [
        "One seed: the variation over seeds is not known. There are no verdicts, and the intervals cover the choice of "
        "test sentences only."
    ]


def _seen_text(analysis: Analysis) -> list[str]:
    if not (seen := [target.language for target in analysis.targets if target.text]):
        return []
    return [
        f"Not zero-shot in text: {', '.join(seen)}. Students may have learned from unlabelled text of {_them(seen)}, "
        "which teachers labelled; no sentence of a test set was in it."
    ]


def _bare_tests(counts: Mapping[str, Mapping[str, Counts]]) -> list[str]:
    bare = [language for language, models in counts.items() if not next(iter(models.values()))[:, 2].any()]
    hint = "It counts in averages, too; the key leave_out of a language keeps it out of them."
    return [f"{text} {hint}" for text in bare_tests(bare)]


def _small_dev_sets(reports: Reports) -> list[str]:
    few = _few({language: facts["sentences"] for language, split, facts in splits(reports) if split == "dev"})
    if not few:
        return []
    return [
        f"Small dev sets: {_listed(few)}. With fewer than {FEW_SENTENCES} sentences it is largely chance which weights "
        "of a model are kept, and how a teacher compares with the students there."
    ]


def _missing(missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    shown, more = ", ".join(missing[:SHOWN]), len(missing) - SHOWN
    rest = f" and {more} more (tables/missing.tsv)" if more > 0 else ""
    return [f"{count(len(missing), 'result')} missing (shown as –): {shown}{rest}."]


def _damaged_logs(runs: Sequence[Run]) -> list[str]:
    if not (damaged := [run.damage for run in runs if run.damage]):
        return []
    return [
        f"Not whole: {count(len(damaged), 'training log')} ({listed(damaged, SHOWN)}). No curve is drawn from "
        f"{_them(damaged)}; no score depends on it. Copy the file again from where it is whole, or delete it and run "
        "again, which trains the model again, too."
    ]


def _unequal_updates(runs: Sequence[Run]) -> list[str]:
    updates: dict[str, set[int]] = {}
    for run in runs:
        if run.model.objective and run.summary.get("updates") is not None:
            updates.setdefault(run.model.objective, set()).add(run.summary["updates"])
    if len(set().union(*updates.values())) < 2:
        return []
    unequal = ", ".join(f"{name} {'/'.join(map(str, sorted(numbers)))}" for name, numbers in updates.items())
    return [
        f"Not all students were trained for the same number of updates: {unequal}. "
        "Compare objectives at equal updates only."
    ]


def _few(sizes: Mapping[str, int]) -> dict[str, int]:
    return {language: size for language, size in sizes.items() if size < FEW_SENTENCES}


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{language} ({size})" for language, size in sizes.items())


def _them(things: Sequence[object]) -> str:
    return "it" if len(things) == 1 else "them"
