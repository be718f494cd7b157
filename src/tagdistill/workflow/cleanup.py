"""What no config uses any more: encoders, downloads, shared results, and what killed jobs left behind.

Caches are made again when a run needs them. Models, and what was made of them, are trained again: they are apart.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tagdistill.artifacts.files import folder_size, is_running, writer_of
from tagdistill.data.sources.source import fetched_sources
from tagdistill.encoders.convert_vectors import FASTTEXT
from tagdistill.encoders.folder import RECORD
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.experiment.config import read_experiment
from tagdistill.experiment.layout import DOWNLOADS, VECTORS
from tagdistill.experiment.plan import Plan
from tagdistill.formatting import count, listed
from tagdistill.workflow.unused_results import CACHES, MODELS, unused_results, without_results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CARD = re.compile(r"(.+)-seed-\d+\.md\Z")
MIN_AGE = 24 * 3600  # seconds, of what a killed job left
MAX_NAMED = 3
RESULT = "result"  # of several stages, which the folder tells
CONFIG_ENDINGS = (".yaml", ".yml", ".json")
CONFIG_KEYS = frozenset({"task", "labels", "languages", "zero_shot", "teacher", "student", "distill"})


@dataclass(frozen=True)
class Unused:
    """Something that may go: a file or folder below results/ or resources/, why, and the stage that makes it again."""

    path: Path
    why: str
    stage: str = ""  # that makes it again; none for what a killed job left

    @property
    def size(self) -> int:
        """Its bytes."""
        return folder_size(self.path)


def find_configs(folder: Path) -> list[Path]:
    """Return the config files of a project: below config/, also behind links, and beside the Snakefile.

    YAML or JSON, as Snakemake reads them; other such files may lie there too.
    """
    below = (Path(place) / name for place, _, names in _walk(folder / "config") for name in names)
    files = [*below, *(path for path in folder.iterdir() if path.is_file())]
    return sorted(file for file in files if file.suffix in CONFIG_ENDINGS and _may_be_config(file))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk through a folder and all that links in it lead to, each once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield place, folders, names


def _may_be_config(file: Path) -> bool:
    """Return whether a file has a key that only an experiment has, or cannot be read: then it may be one."""
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return True
    return isinstance(value, dict) and not CONFIG_KEYS.isdisjoint(value)


def configs_in_use(named: Iterable[Path], project: Path) -> tuple[list[Path], str]:
    """Return the config files of a project and those named besides, each once, and a line that says which."""
    own = find_configs(project)
    known = {path.resolve() for path in own}
    more = list({path.resolve(): path for path in named if path.resolve() not in known}.values())
    beside = ", ".join(map(str, more)) or "none elsewhere (name those that lie elsewhere: `tagdistill clean FILE`)"
    return [*own, *more], f"looked at {count(len(own), 'config')} in config/ and beside it, and {beside}"


def unused(configs: Iterable[Path], project: Path, root: str | None = None) -> list[Unused]:
    """Return the caches that none of the configs uses.

    Raises ConfigError for a config that cannot be read: it might use anything.
    """
    plans = [_plan(path, project, root) for path in configs]
    if not plans:
        raise ConfigError("no config file found", where=str(project), hint="Name those that are in use.")
    found = [
        *_encoders(plans, project),
        *_downloads(plans, project),
        *_vectors(plans, project),
        *(Unused(folder, why, RESULT) for folder, why in unused_results(plans, project, CACHES)),
        *_leftovers(project),
    ]
    own = {path for plan in plans for path in _users_own(plan, project)}
    return [item for item in found if _is_ours(item.path, project) and not _touches(item.path, own)]


def unknown_results(configs: Iterable[Path], project: Path, root: str | None = None) -> list[str]:
    """Return a note on configs of which nobody knows what they made: it counts as unused."""
    names = without_results((_plan(path, project, root) for path in configs), project)
    if not names:
        return []
    what = f"note: {count(len(names), 'config')} whose data is not here, and of which no run left a record in results/"
    return [f"{what}: what they made, if anything, counts as unused ({listed(names, MAX_NAMED)})"]


def unused_models(configs: Iterable[Path], project: Path, root: str | None = None) -> list[Unused]:
    """Return the models that none of the configs makes, with what was made of them; those of its last run stay.

    These are also exports and cards of objectives that no config of the experiment's name has. Those of experiments
    without a config are left alone: it may lie elsewhere.
    """
    plans = [_plan(path, project, root) for path in configs]
    objectives: dict[str, set[str]] = {}
    for plan in plans:  # two configs may share a name
        objectives.setdefault(plan.name, set()).update(plan.runs.objectives)
    found = [Unused(folder, why, RESULT) for folder, why in unused_results(plans, project, MODELS, keep_shown=True)]
    found += [item for name in sorted(objectives) for item in _students(project / "results" / name, objectives[name])]
    return [item for item in found if _is_ours(item.path, project)]


def _students(results: Path, objectives: set[str]) -> Iterator[Unused]:
    why = f"the config {results.name!r} has no such objective"
    gone = (path for path in _children(results / "export") if path.is_dir() and path.name not in objectives)
    yield from (Unused(path, why) for path in gone if not path.name.startswith("."))
    for card in _children(results / "report" / "cards"):
        if (match := CARD.match(card.name)) and match[1] not in objectives:
            yield Unused(card, why)


def _plan(path: Path, project: Path, root: str | None) -> Plan:
    return Plan(read_experiment(path, **({"root": root} if root else {})), project)


def _users_own(plan: Plan, project: Path) -> Iterator[Path]:
    """Yield the files and folders that a config names, wherever they lie: no job makes them again."""
    pairs = ((language, split) for language in plan.runs.languages for split in plan.runs.splits(language))
    raw = (plan.raw(*pair) for pair in pairs if plan.runs.languages[pair[0]].given(pair[1]))
    vectors = (plan.local.vectors_source(key) for key in plan.specs.vectors())
    yield from ((project / path).resolve() for path in (*raw, *vectors, *plan.local.encoders()) if path)


def _touches(path: Path, own: set[Path]) -> bool:
    """Return whether a path is, holds or lies in one of the user's own."""
    full = path.resolve()
    return any(other.is_relative_to(full) or full.is_relative_to(other) for other in own)


def _encoders(plans: list[Plan], project: Path) -> Iterator[Unused]:
    used = {key for plan in plans for key in plan.encoder_folders()}
    # A folder that is not there now cannot be converted again: what was made of it stays.
    away = any(not source.exists() for plan in plans for source in plan.local.encoders())
    for path in _children(project / "resources" / "encoders"):
        kept = path.name in used or path.name.startswith((".", "path-") if away else ".")
        if not kept and (path / RECORD).is_file():  # a model that somebody put there has none
            yield Unused(path, "no config uses this encoder", "convert_encoder")


def _downloads(plans: list[Plan], project: Path) -> Iterator[Unused]:
    used = {
        project / (plan.raw(language, split) or "")
        for plan in plans
        for language in plan.runs.languages
        for split in plan.runs.splits(language)
    }
    kept = {folder for file in used for folder in (file, *file.parents)}
    names = {vectors.name for plan in plans for vectors in plan.specs.vectors().values() if vectors.name}
    kept |= {path for path in (project / DOWNLOADS / "fasttext").glob("*") if path.name.partition(".vec")[0] in names}
    kept |= {project / DOWNLOADS / "fasttext"} if names else set()
    for source in sorted((*fetched_sources(), FASTTEXT.name)):  # other folders are the user's
        folder = project / DOWNLOADS / source
        if folder in kept:
            yield from _outside(folder, kept)
        elif folder.is_dir():
            yield Unused(folder, "no config reads this download", "fetch")


def _vectors(plans: list[Plan], project: Path) -> Iterator[Unused]:
    used = {key for plan in plans for key in plan.specs.vectors()}
    for path in _children(project / VECTORS):
        if path.name not in used and not path.name.startswith(".") and (path / RECORD).is_file():
            yield Unused(path, "no config uses these word vectors", "convert_vectors")


def _outside(folder: Path, kept: set[Path]) -> Iterator[Unused]:
    """Yield the highest folders that hold nothing that is kept. What lies beside a kept file belongs to it."""
    children = _children(folder)
    if any(child.is_file() and child in kept for child in children):
        return
    for child in children:
        if child in kept:
            yield from _outside(child, kept)
        elif child.is_dir():
            yield Unused(child, "no config reads this download", "fetch")


def _leftovers(project: Path) -> Iterator[Unused]:
    for top in ("results", "resources"):
        for path in sorted((project / top).rglob(".*")):
            # It may be of a job on another machine, which this one cannot see.
            if (writer := writer_of(path)) is not None and _is_old(path) and not is_running(writer):
                yield Unused(path, "left by a job that was killed")


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > MIN_AGE


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_ours(path: Path, project: Path) -> bool:
    """Return whether a path really lies below results/ or resources/: links are not followed, and not removed."""
    tops = [(project / top).resolve() for top in ("results", "resources")]
    return not path.is_symlink() and any(path.resolve().is_relative_to(top) and path.resolve() != top for top in tops)


def remove(found: Iterable[Unused], project: Path) -> None:
    """Remove what `unused` found. Raises TagdistillError while a run is going on in the project."""
    if _children(project / ".snakemake" / "locks"):
        hint = "Wait for it, or, if it was killed, run `snakemake --unlock --configfile FILE` first."
        raise TagdistillError("a run is going on in this folder", where=str(project), hint=hint)
    for item in found:
        if not _is_ours(item.path, project):
            raise TagdistillError("not below results/ or resources/", where=str(item.path))
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
