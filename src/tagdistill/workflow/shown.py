"""What results/NAME shows: links to the shared results that the config means, and a record of what they are made of.

A run begins by writing the links, of which each is replaced in one step, and last the record. Nothing is ever written
through a link, and a link is all that is removed: what another experiment, or an earlier config, made stays. (But a
benchmark of an earlier version, in the place of a link, is replaced, as each run replaced it.)
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import discard, sibling, write_text
from tagdistill.errors import TagdistillError
from tagdistill.experiment.layout import SHARED
from tagdistill.experiment.shared_files import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORD = "made_of.jsonl"
TOPS = ("results", "benchmarks")
NO_LINK = (
    "Results lie in results/shared now, and {folder} has links to them; it is of an earlier version, or a copy instead "
    "of links. To keep it, rename {folder}; else delete it. Then run again: what results/shared lacks is made."
)


@dataclass(frozen=True)
class Shown:
    """The results of one experiment, as links below results/NAME and benchmarks/NAME of a folder."""

    name: str
    results: Sequence[Result]
    root: Path = Path()

    @property
    def record(self) -> Path:
        """The file that says what the results that are shown are made of."""
        return self.folder / RECORD

    @property
    def folder(self) -> Path:
        """The folder results/NAME."""
        return self.root / "results" / self.name

    @property
    def benchmarks(self) -> Path:
        """The folder benchmarks/NAME."""
        return self.root / "benchmarks" / self.name

    @cached_property
    def files(self) -> dict[str, str]:
        """The shared file of each place below results/NAME."""
        pairs = ((place, file) for x in self.results for place, file in zip(x.places, x.files, strict=True))
        return dict(pairs)

    def links(self) -> dict[Path, str]:
        """Return what each link leads to, as it is written."""
        wanted = {self.folder / place: file for place, file in self.files.items()}
        wanted |= {self.benchmarks / x.stage / f"{x.job}.tsv": x.benchmark for x in self.results}
        return {link: self._leads_to(link, file) for link, file in wanted.items()}

    def text(self) -> str:
        """Return the record, one result a line."""
        return "".join(json.dumps(asdict(result)) + "\n" for result in self.results)

    def check(self) -> None:
        """Raise TagdistillError where something that is no link of ours is in the place of one, or of its folder."""
        folders = {self.folder, *(folder for place in self.files for folder in (self.folder / place).parents)}
        for folder in sorted(folders):
            if os.path.lexists(folder) and not folder.is_dir():
                what = "this is no folder, and results are shown in it"
                raise TagdistillError(what, where=str(folder), hint="Rename it, or delete it.")
        for link in map(self.folder.joinpath, self.files):
            if os.path.lexists(link) and not self._is_ours(link):
                hint = NO_LINK.format(folder=f"results/{self.name}")
                raise TagdistillError("this is no link to a shared result", where=str(link), hint=hint)

    def is_current(self) -> bool:
        """Return whether all links are there and lead to what the config means, and the record says so."""
        try:
            right = self.record.read_text(encoding="utf-8") == self.text()
        except (OSError, UnicodeDecodeError):
            return False
        return right and all(is_link_to(link, target) for link, target in self.links().items())

    def is_right(self, place: str) -> bool:
        """Return whether the link of a place is there and leads to what the config means."""
        return is_link_to(self.folder / place, self.target(place))

    def target(self, place: str) -> str:
        """Return what the link of a place leads to, as it is written: from its own folder."""
        return self._leads_to(self.folder / place, self.files[place])

    def write(self) -> None:
        """Write the links and the record, and remove links of this experiment that it no longer has.

        Raises TagdistillError where the file system has no links, or something else is in the place of one.
        """
        self.check()
        wanted = self.links()
        for link, target in wanted.items():
            if not is_link_to(link, target):
                _write_link(link, target)
        for top in (self.folder, self.benchmarks):
            for link in {*filter(self._is_ours, _links(top))} - wanted.keys():
                link.unlink(missing_ok=True)
                _remove_empty(link.parent, top)
        if not self.is_current():
            write_text(self.record, self.text())

    def _leads_to(self, link: Path, file: str) -> str:
        """Return the relative path from the folder of a link to a shared file, wherever links above it lead."""
        top, _, *rest = file.split("/")
        return "/".join([_way(link.parent.absolute(), (self.root / top / SHARED).absolute()), *rest])

    def _is_ours(self, link: Path) -> bool:
        """Return whether this is a link to a shared file."""
        if not link.is_symlink():
            return False
        target = Path(os.path.normpath(Path(_real(link.parent.absolute()), link.readlink())))
        return any(target.is_relative_to(_real((self.root / top / SHARED).absolute())) for top in TOPS)

    # -- others

    def shared_with(self) -> dict[str, Counter[str]]:
        """Return how many results of each stage other experiments show that are there, by their names."""
        there = [(x.stage, x.places[0]) for x in self.results if all((self.root / file).exists() for file in x.files)]
        found = {}
        for name in experiments(self.root):
            if name != self.name:
                other = Shown(name, self.results, self.root)
                found[name] = Counter(stage for stage, place in there if other.is_right(place))
        return {name: stages for name, stages in found.items() if stages}


def read_record(text: str) -> list[Result]:
    """Return the results in the text of a record. Raises ValueError, TypeError or KeyError for anything else."""
    return [_result(json.loads(line)) for line in text.splitlines()]


def _result(values: dict[str, Any]) -> Result:
    return Result(**values | {name: tuple(values[name]) for name in ("places", "made_of")})


def last_run(name: str, project: Path = Path()) -> dict[str, Result]:
    """Return the results that an experiment shows, by their places; none if there is no record that can be read."""
    try:
        results = read_record((project / "results" / name / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {place: result for result in results for place in result.places}


def experiments(project: Path = Path()) -> list[str]:
    """Return the names of the experiments that have a folder below results/."""
    folder = project / "results"
    found = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [name for name in found if name != SHARED and not name.startswith(".")]


def is_link_to(link: Path, target: str) -> bool:
    """Return whether a link is there, and leads to just this."""
    try:
        return str(link.readlink()) == target
    except OSError:  # nothing there, or no link
        return False


@cache
def _way(folder: Path, to: Path) -> str:
    return os.path.relpath(_real(to), _real(folder))


@cache
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def _write_link(link: Path, target: str) -> None:
    temporary = sibling(link, "tmp")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except (OSError, NotImplementedError) as error:
        discard(temporary)
        raise TagdistillError(
            f"cannot write a link: {error}",
            where=str(link),
            hint="Results are shown by symbolic links: run where you may write, on a file system that has them.",
        ) from error


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(place, name)).is_symlink())


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder, and those above it up to `top`, if nothing is left in them."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
