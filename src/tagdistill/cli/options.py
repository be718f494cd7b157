"""Options that several commands have, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from tagdistill.errors import TagdistillError

OptionalPath = Optional[Path]  # noqa: UP045 (typer reads these when it starts)
OptionalText = Optional[str]  # noqa: UP045

Encoder = Annotated[OptionalPath, typer.Option("--encoder", help="the converted encoder's folder")]
Threads = Annotated[int, typer.Option(help="threads to compute with")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]

# How a file is read.
Separator = Annotated[str, typer.Option(help="what parts the columns of CoNLL: space, tab, or auto: see the file")]
Columns = Annotated[
    OptionalText,
    typer.Option(
        help="columns of CoNLL, from 0 or from -1 at the end, such as token=1,tag=3; else token=0,tag=-1 "
        "(of parquet: their names)"
    ),
]
Comment = Annotated[OptionalText, typer.Option(help="lines of CoNLL that start so are left out")]
Encoding = Annotated[OptionalText, typer.Option(help="encoding of the file, if not utf-8")]
LabelMap = Annotated[OptionalText, typer.Option(help="other names of labels, such as PERSON=PER,PLACE=LOC")]


def device_of(name: str) -> str:
    """Return cpu or cuda for the option auto, cpu or cuda."""
    if name == "cpu":
        return name
    if name not in ("auto", "cuda"):
        raise TagdistillError(f"cannot be {name!r}", where="--device", hint="Known: auto, cpu, cuda.")
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise TagdistillError("there is no CUDA device, or this torch has no CUDA", where="device", hint="Use cpu.")
    return "cuda" if torch.cuda.is_available() else "cpu"
