"""Shared results that no config makes: corpora, features and targets, which are made again, and models."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.experiment.layout import KEY, SHARED
from tagdistill.workflow.shown import experiments, last_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tagdistill.experiment.plan import Plan
    from tagdistill.experiment.shared_files import Result

# Below results/shared: what models are trained on, and models with what was made of them, by which they are known.
CACHES = ("data", "features", "targets")
MODELS = ("students", "teachers", "metrics", "predictions")
REPORTS = {"report.json": "data_report", "repeats.json": "repeats"}


def unused_results(
    plans: Sequence[Plan], project: Path, tops: Iterable[str], keep_shown: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield the highest folders below some of results/shared that hold no result of a config, each with why.

    With `keep_shown` what the last run of a config made is used, too, until another run shows something else.
    """
    results = [result for plan in plans for result in _results(plan, project)]
    results += [x for plan in plans for x in last_run(plan.name, project).values()] if keep_shown else []
    used, shown = _folders(results, project), _shown(project)
    for top in tops:
        for folder in _outside(project / "results" / SHARED / top, used, {above for x in used for above in x.parents}):
            yield folder, _why(folder, shown)


def stage_of(folder: Path) -> str:
    """Return the stage that makes the results in a folder whose name is a key."""
    kinds = {"features": "encode", "targets": "export_targets"}
    top, *others = folder.parts[folder.parts.index(SHARED) + 1 :]
    if top == "data":
        return next((stage for name, stage in REPORTS.items() if (folder / name).exists()), "prepare")
    if top in ("metrics", "predictions"):
        return f"evaluate_{others[0].removesuffix('s')}"
    if top in ("students", "teachers"):
        return "score" if "scores" in others else f"train_{top.removesuffix('s')}"
    return kinds[top]


def keyed(folder: Path) -> list[Path]:
    """Return the folders at or below a folder whose name is a key: one for each result."""
    if KEY.fullmatch(folder.name):
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.is_dir() and KEY.fullmatch(path.name))


def _results(plan: Plan, project: Path) -> list[Result]:
    """Return the results of a config; where its data or models are away, those of its last run: they may come back."""
    found = _planned(plan)
    return list(last_run(plan.name, project).values()) if found is None else found


def _planned(plan: Plan) -> list[Result] | None:
    """Return the results that a config would make; None where its data or models are away."""
    vectors = filter(None, map(plan.local.vectors_source, plan.specs.vectors()))
    try:
        if all(source.exists() for source in (*plan.local.encoders(), *map(Path, vectors))):
            return list(plan.files.results())
    except OSError:  # data that cannot be read
        pass
    return None


def without_results(plans: Iterable[Plan], project: Path) -> list[str]:
    """Return the names of configs of which nobody knows what they made: data is away, and no run left a record."""
    return sorted({x.name for x in plans if not last_run(x.name, project) and _planned(x) is None})


def _folders(results: Iterable[Result], project: Path) -> set[Path]:
    return {(project / file).parent for result in results for file in result.files}


def _shown(project: Path) -> Mapping[Path, list[str]]:
    """Return the experiments that show the results in a folder, whether or not there is a config."""
    found: dict[Path, list[str]] = defaultdict(list)
    for name in experiments(project):
        for folder in _folders(last_run(name, project).values(), project):
            found[folder].append(name)
    return found


def _why(folder: Path, shown: Mapping[Path, list[str]]) -> str:
    names = sorted({name for path in keyed(folder) for name in shown.get(path, ())})
    if not names:
        return "no config makes this"
    return f"no config looked at makes this; shown in {', '.join(f'results/{name}' for name in names)}"


def _outside(folder: Path, used: set[Path], above: set[Path]) -> Iterator[Path]:
    """Yield the highest folders that are neither used nor above one that is."""
    if folder in used or not folder.is_dir():
        return
    if folder not in above:
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            yield from _outside(path, used, above)
