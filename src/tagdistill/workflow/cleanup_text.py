"""The text of `tagdistill clean`: what may go, which models still need it, and what a later run would make again."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.encoders.keys import encoder_key, feature_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.errors import TagdistillError
from tagdistill.formatting import count, disk, duration
from tagdistill.settings.encoder import WordEncoder
from tagdistill.settings.validation import validate
from tagdistill.workflow.estimates import seconds, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tagdistill.workflow.cleanup import Unused

STAGES = ("fetch", "convert_encoder", "convert_vectors", "encode")
TIMED = "encode"  # the one of them that has benchmarks


@dataclass(frozen=True)
class Model:
    """A saved model in results/, with the names of what it runs on."""

    experiment: str
    encoder: str
    features: str
    vectors: str | None


def describe(found: Sequence[Unused], project: Path) -> list[str]:
    """Return the lines on what may go: each item, a warning for each that models still need, and what is made again."""
    items = [f"{disk(item.size):>9}  {item.path.relative_to(project)}  ({item.why})" for item in found]
    return [*items, *_warnings(found, project), *_made_again(found, project)]


# -- what a later run makes again


def _made_again(found: Sequence[Unused], project: Path) -> list[str]:
    """Return one line on the jobs that would make it again, with the times that benchmarks know."""
    jobs: Counter[str] = Counter()
    for item in found:
        if item.stage:
            jobs[item.stage] += len(_encoded(item)) if item.stage == TIMED else 1
    parts = [_jobs(stage, jobs[stage], found, project) for stage in STAGES if jobs[stage]]
    return [f"a run that needs them again: {', '.join(parts)}"] if parts else []


def _jobs(stage: str, number: int, found: Sequence[Unused], project: Path) -> str:
    if stage == "fetch":
        return f"downloads of {disk(sum(item.size for item in found if item.stage == stage))}"
    text = count(number, f"{stage} job")
    if stage != TIMED:
        return text
    benchmarks = [_benchmark(store, project) for item in found if item.stage == TIMED for store in _encoded(item)]
    whole = total(seconds(TIMED, path) for path in benchmarks)
    if not whole.known:
        return f"{text} (time unknown)"
    return f"{text} ({'over' if whole.unknown else 'about'} {duration(whole.value)})"


def _encoded(item: Unused) -> list[Path]:
    """Return the feature stores, one per encode job, in a folder of them."""
    return sorted(item.path.rglob("[!.]*.safetensors"))


def _benchmark(store: Path, project: Path) -> Path:
    """Return the benchmark of the job that wrote results/NAME/features/KEY/LANGUAGE/SPLIT.safetensors."""
    experiment, _, key, language, split = store.relative_to(project / "results").with_suffix("").parts
    return project / "benchmarks" / experiment / TIMED / f"{key}-{language}-{split}.tsv"


# -- what models still need


def _warnings(found: Sequence[Unused], project: Path) -> Iterator[str]:
    models = list(_models(project))
    for item in found:
        experiments = Counter(model.experiment for model in models if _needs(model, item, project))
        if experiments:
            which = ", ".join(f"{count(number, 'model')} in results/{name}" for name, number in experiments.items())
            use = "for training or scoring them again" if item.stage == TIMED else "for labelling new text"
            yield f"warning: {item.path.relative_to(project)} is still needed by {which}, {use}"


def _needs(model: Model, item: Unused, project: Path) -> bool:
    place = item.path.relative_to(project).parts
    if item.stage == "encode":  # results/NAME/features/KEY, or one language of it
        return (model.experiment, model.features) == (place[1], place[3])
    if item.stage == "convert_vectors":
        return model.vectors == item.path.name
    return item.stage == "convert_encoder" and model.encoder == item.path.name


def _models(project: Path) -> Iterator[Model]:
    """Yield the saved models that can be read; a broken one warns of nothing, and is not what is removed."""
    for kind in ("teachers", "students"):
        for file in sorted((project / "results").glob(f"*/{kind}/**/model/config.json")):
            with suppress(TagdistillError, KeyError, TypeError, OSError):
                yield _model(file, file.relative_to(project / "results").parts[0])


def _model(file: Path, experiment: str) -> Model:
    settings = validate(WordEncoder, read_json(file)["encoder"], str(file))
    vectors = vectors_key(settings.vectors) if settings.vectors else None
    return Model(experiment, encoder_key(settings), feature_key(settings), vectors)
