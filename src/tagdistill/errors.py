"""One error type for everything that a user can put right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Self

from tagdistill.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class TagdistillError(Exception):
    """What is wrong, where it is (file and line, or config key), and what to do next.

    The command line prints it without a traceback; anything else that is raised is a defect of ours.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        return printable(f"{place}{self.what}{advice}")  # it may quote data

    def at(self, where: str | None, *, hint: str | None = None) -> Self:
        """Return the same error at another place, for callers who know the file or the key; `hint` replaces its own."""
        return type(self)(self.what, where=where, hint=hint or self.hint)


class ConfigError(TagdistillError):
    """A setting that cannot be used; `where` is the file and the key."""


class DataError(TagdistillError):
    """A data file that cannot be read as its format says; `where` is the file and the line."""


class ReadingError(DataError):
    """A data file that a setting reads in a wrong way: to leave its sentences out would only hide that."""


class LayoutError(DataError):
    """A sentence of another layout than the settings say: if it is the first of its file, they may well be wrong."""


class MismatchError(TagdistillError):
    """Two artefacts that do not belong together, such as a cache and another teacher's label list."""


PLAN_AGAIN = "Results are known by the content that was planned with: start the run again."


SERVE = "`pip install 'tagdistill[serve]'` installs what the service needs"


def missing_package(error: ModuleNotFoundError, *, where: str | None = None) -> TagdistillError:
    """Return the error for a package of an extra, where tagdistill was installed without it.

    >>> print(missing_package(ModuleNotFoundError(name="torch.nn")))
    this needs torch, which is not installed
      `pip install 'tagdistill[train]'` installs all that the workflow needs.
    """
    package = (error.name or str(error)).partition(".")[0]
    everything = "`pip install 'tagdistill[train]'` installs all that the workflow needs"
    hints = {
        "boto3": "`pip install 'tagdistill[s3]'` installs it",
        "spacy": "`pip install 'tagdistill[spacy]'` installs it",
        **dict.fromkeys(("fastapi", "prometheus_client", "starlette", "uvicorn"), SERVE),
        "icu4py": "`pip install 'tagdistill[icu]'` installs it; or give lists of words",
        "pyarrow": f"{everything}, 'tagdistill[parquet]' this alone",
    }
    hint = f"{hints.get(package, everything)}."
    return TagdistillError(f"this needs {package}, which is not installed", where=where, hint=hint)


MEANT = {"gpu": "cuda"}  # where another name is nearer in letters


def nearest_file(path: Path) -> str:
    """Return the hint "Did you mean 'x'?" for a file that is not there, or the first of its folders that is not."""
    if missing := [folder for folder in path.parents if not folder.exists()]:
        return f"There is no folder {missing[-1]}."
    try:
        names = {file.name.casefold(): file.name for file in path.parent.iterdir()}
    except OSError:  # it is a file, or may not be read
        return ""
    close = difflib.get_close_matches(path.name.casefold(), names, n=1)
    return f"Did you mean {names[close[0]]!r}?" if close else ""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return the hint "Did you mean 'x'? Known: a, b, c." for an unknown name."""
    names = sorted(printable(str(k), keep="") for k in known)
    folded = {k.casefold(): k for k in names}
    wanted = str(name).casefold()
    close = difflib.get_close_matches(wanted, folded, n=1)
    if MEANT.get(wanted) in folded:
        close = [MEANT[wanted]]
    start = f"Did you mean {folded[close[0]]!r}? " if close else ""
    return f"{start}Known: {', '.join(names)}."
