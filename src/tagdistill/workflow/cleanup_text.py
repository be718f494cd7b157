"""The text of `tagdistill clean`: what may go, which models still need it, and what a later run would make again."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.errors import TagdistillError
from tagdistill.experiment.layout import JOBS, SHARED
from tagdistill.formatting import count, disk, duration
from tagdistill.settings.encoder import WordEncoder
from tagdistill.settings.validation import validate
from tagdistill.workflow.cleanup import RESULT
from tagdistill.workflow.estimates import seconds, total
from tagdistill.workflow.shown import experiments
from tagdistill.workflow.unused_results import keyed, stage_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tagdistill.workflow.cleanup import Unused

CACHES = ("fetch", "convert_encoder", "convert_vectors")


@dataclass(frozen=True)
class Model:
    """A saved model in results/, with the names of what it runs on."""

    experiment: str
    encoder: str
    vectors: str | None


def describe(found: Sequence[Unused], project: Path) -> list[str]:
    """Return the lines on what may go: each item, a warning for each that models still need, and what is made again."""
    items = [f"{disk(item.size):>9}  {item.path.relative_to(project)}  ({item.why})" for item in found]
    return [*items, *_warnings(found, project), *_made_again(found, project)]


# -- what a later run makes again


def _made_again(found: Sequence[Unused], project: Path) -> list[str]:
    """Return one line on the jobs that would make it again, with the times that benchmarks know."""
    jobs = Counter(item.stage for item in found)
    parts = [_job(stage, jobs[stage], found) for stage in CACHES if jobs[stage]]
    results = {(stage_of(folder), folder.name) for item in found if item.stage == RESULT for folder in keyed(item.path)}
    parts += [_results(stage, [key for made_by, key in results if made_by == stage], project) for stage in JOBS]
    told = ", ".join(filter(None, parts))
    return [f"a run that needs them again: {told}"] if told else []


def _job(stage: str, number: int, found: Sequence[Unused]) -> str:
    if stage == "fetch":
        return f"downloads of {disk(sum(item.size for item in found if item.stage == stage))}"
    return count(number, f"{stage} job")


def _results(stage: str, keys: Sequence[str], project: Path) -> str:
    """Return how many jobs of a stage would make results of these keys again, and for how long; or nothing."""
    if not keys:
        return ""
    whole = total(seconds(stage, _benchmark(stage, key, project)) for key in keys)
    if not whole.known:
        return f"{count(len(keys), f'{stage} job')} (time unknown)"
    return f"{count(len(keys), f'{stage} job')} ({'over' if whole.unknown else 'about'} {duration(whole.value)})"


def _benchmark(stage: str, key: str, project: Path) -> Path:
    """Return the benchmark of the job that made a result; of one that is not there, where it would be."""
    folder = project / "benchmarks" / SHARED / stage
    return next(folder.glob(f"*.{key}.tsv"), folder / f"{key}.tsv")


# -- what models still need


def _warnings(found: Sequence[Unused], project: Path) -> Iterator[str]:
    models = list(_models(project))
    for item in found:
        if needing := Counter(model.experiment for model in models if _needs(model, item)):
            which = ", ".join(f"{count(number, 'model')} in results/{name}" for name, number in needing.items())
            yield f"warning: {item.path.relative_to(project)} is still needed by {which}, for labelling new text"


def _needs(model: Model, item: Unused) -> bool:
    if item.stage == "convert_vectors":
        return model.vectors == item.path.name
    return item.stage == "convert_encoder" and model.encoder == item.path.name


def _models(project: Path) -> Iterator[Model]:
    """Yield the models that experiments show; a broken one warns of nothing, and is not what is removed."""
    for name in experiments(project):
        for kind in ("teachers", "students"):
            for file in sorted((project / "results" / name / kind).glob("**/model/config.json")):
                with suppress(TagdistillError, KeyError, TypeError, OSError):
                    yield _model(file, name)


def _model(file: Path, experiment: str) -> Model:
    settings = validate(WordEncoder, read_json(file)["encoder"], str(file))
    vectors = vectors_key(settings.vectors) if settings.vectors else None
    return Model(experiment, encoder_key(settings), vectors)
