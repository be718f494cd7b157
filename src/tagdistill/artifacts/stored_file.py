"""Files that were stored before: what is wrong with one that cannot be read, and what to do about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagdistill.artifacts.write_errors import owner
from tagdistill.errors import DataError, TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/"
COPY = "Copy it again from where it is whole, or delete it and run again."
FOLDER_MARK = ".snakemake_timestamp"  # Snakemake's, in each folder that is the result of a job
MODEL, ENCODER = "config.json", "encoder"  # an exported student is a model with its encoder in a folder inside
EXPORT = "snakemake export --cores 2 --configfile FILE"
EXPORTED = f"Copy or download the folder again, or export it again (`{EXPORT}`)."
NOT_MADE = "This link leads to a result that is not made yet, or was removed: run snakemake with its config."
PULL = "Run `git lfs pull` in its repository, or copy the file itself."


@contextmanager
def stored(path: Path, what: str, hint: str = COPY) -> Iterator[None]:
    """Turn whatever the block meets in reading a file of ours into a DataError that says what, where and what to do.

    `what` is what the file should be. In the block every error is one of the file: it is not there, may not be read,
    is a Git LFS pointer, cut off or altered, or holds other things or shapes than it should.
    """
    check_stored(path, None if hint == COPY else hint)
    with read_errors(path, what, whole_folder(path) or hint if hint == COPY else hint):
        yield


@contextmanager
def read_errors(path: Path, what: str, hint: str = COPY) -> Iterator[None]:
    """Do as `stored`, for a file that is open already: another may have its name by now."""
    try:
        yield
    except TagdistillError:
        raise
    except PermissionError as error:
        raise _denied(path) from error
    except Exception as error:  # libraries have errors of their own: SafetensorError, ArrowException, ...
        raise DataError(f"not readable as {what}: {_reason(error)}", where=str(path), hint=hint) from error


def check_stored(path: Path, hint: str | None = None) -> None:
    """Refuse a file that is not there, may not be read, or is a Git LFS pointer in the place of the file."""
    try:
        with path.open("rb") as file:
            head = file.read(len(POINTER))
    except (FileNotFoundError, NotADirectoryError) as error:
        unmade = any(x.is_symlink() and not x.exists() for x in (path, *path.parents))
        raise DataError(
            "no such file", where=str(path), hint=NOT_MADE if unmade else hint or whole_folder(path)
        ) from error
    except IsADirectoryError as error:
        raise DataError("a folder, not a file", where=str(path)) from error
    except PermissionError as error:
        raise _denied(path) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if head == POINTER:
        raise DataError("a Git LFS pointer, not the file itself", where=str(path), hint=PULL)


def whole_text(path: Path, what: str, end: str = "\n") -> str:
    """Return the text of a file of ours, which ends as all such files do: else it is empty or cut off."""
    with stored(path, what):
        text = path.read_text(encoding="utf-8")
        if not text.endswith(end):
            raise ValueError("it is cut off" if text else "it is empty")
    return text


def whole_folder(path: Path) -> str | None:
    """Return what to do about a file of a folder that is made as a whole: without the file alone no job makes it again.

    None for a file that is a result by itself, or in a folder of which nothing is known.
    """
    folder = path.parent
    if (folder / FOLDER_MARK).exists():
        return f"Copy the folder {folder} again from where it is whole, or delete all of the folder and run again."
    return EXPORTED if folder.name == ENCODER and (folder.parent / MODEL).exists() else None


def _denied(path: Path) -> DataError:
    return DataError("may not be read: permission denied", where=str(path), hint=owner(path))


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
