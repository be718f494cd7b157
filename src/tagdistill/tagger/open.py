"""Open a model as options of the command line say."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from tagdistill.errors import TagdistillError
from tagdistill.tagger.tagger import Tagger

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("device", "precision")


class ModelOptions(TypedDict, total=False):
    """How a model is run: `Tagger.from_pretrained` says what they mean."""

    precision: str | None
    device: str
    threads: int | None
    encoder: Path | None


def open_model(model: str | Path, **options: Unpack[ModelOptions]) -> Tagger:
    """Return a tagger. Its errors name options of the command line."""
    try:
        return Tagger.from_pretrained(str(model), **options)
    except TagdistillError as error:
        raise error.at(f"--{error.where}" if error.where in OPTIONS else error.where) from error
