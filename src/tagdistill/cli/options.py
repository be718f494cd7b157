"""Options that several commands have, and what they mean."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tagdistill.errors import TagdistillError, nearest
from tagdistill.settings.names import FORMATS, WRITERS, names_in
from tagdistill.settings.names import Scheme as SpanScheme

Out = Annotated[Path, typer.Option("--out", help="file or folder to write; -: stdout")]
Root = Annotated[str | None, typer.Option(help="where relative paths start, instead of `root:`")]
Experiments = Annotated[list[Path], typer.Argument(help="folders results/NAME of finished experiments")]

# How a model is run.
Encoder = Annotated[Path | None, typer.Option("--encoder", help="folder of the converted encoder")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]

# How a file is read.
if TYPE_CHECKING:

    class InputFormat(StrEnum):
        """The formats that the package has, or `auto`."""

        auto = "auto"

else:  # type checkers know no enumeration of names that are looked up
    InputFormat = StrEnum("InputFormat", {name: name for name in ("auto", *names_in(FORMATS))})

if TYPE_CHECKING:

    class OutputFormat(StrEnum):
        """The formats that `predict` writes, or `auto`."""

        auto = "auto"

else:
    OutputFormat = StrEnum("OutputFormat", {name: name for name in ("auto", *names_in(WRITERS))})


class Splitting(StrEnum):
    """How raw text is split into words."""

    model = "model"
    blanks = "blanks"


Kind = Annotated[InputFormat, typer.Option("--format", help="format of the file; auto: by its ending")]
Scheme = Annotated[str | None, typer.Option(help=f"how spans are written: {', '.join(get_args(SpanScheme))}")]
Separator = Annotated[
    str | None, typer.Option(help="separator of CoNLL columns: space, tab, or auto (by the first lines, the default)")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        help="columns of CoNLL, counted from 0, or from -1 at the end: token=1,tag=3 (default: token=0,tag=-1); "
        "for parquet and jsonl their names"
    ),
]
Comment = Annotated[str | None, typer.Option(help="skip CoNLL lines that start with this text and are no tokens")]
SkipLines = Annotated[int | None, typer.Option(min=0, help="first lines to skip, such as a header")]
Broken = Annotated[
    str | None, typer.Option(help="sentences with an empty token or of another layout: refuse, leave_out")
]
Names = Annotated[list[str] | None, typer.Option(help="names of class numbers in parquet and jsonl: O,B-PER,I-PER")]
Encoding = Annotated[str | None, typer.Option(help="encoding of the file (default: utf-8)")]
LabelMap = Annotated[list[str] | None, typer.Option(help="rename labels: PERSON=PER,PLACE=LOC; *=O: all others")]


def together(given: list[str] | None) -> str | None:
    """Return an option that may be repeated as if all had been given at once, with commas; None if it was not given."""
    return ",".join(given) if given else None


def device_of(name: str) -> str:
    """Return the device, cpu or cuda, for an option auto, cpu or cuda.

    Raises TagdistillError for any other name, and for cuda where there is no GPU.
    """
    if name == "cpu":
        return name
    if name not in ("auto", "cuda"):
        raise TagdistillError(f"cannot be {name!r}", where="--device", hint=nearest(name, ("auto", "cpu", "cuda")))
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        what, hint = "there is no CUDA device, or this torch has no CUDA", "Use `--device cpu`."
        raise TagdistillError(what, where="--device", hint=hint)
    return "cuda" if torch.cuda.is_available() else "cpu"


def use_threads(threads: int) -> None:
    """Let torch compute with so many CPU threads."""
    import torch

    torch.set_num_threads(threads)


def use_kernel(name: str, device: str) -> AbstractContextManager[None]:
    """Return the context in which CRFs are computed with this kernel; on a GPU always with torch's."""
    from tagdistill import crf

    return crf.use_kernel(name if device == "cpu" else "torch")


def numbers(text: str, where: str) -> list[float]:
    """Return the numbers in a text, with commas between them. Raises TagdistillError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise TagdistillError(f"not numbers with commas between them: {text!r}", where=where) from None
