"""Open a model as options of the command line say."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from tagdistill.errors import TagdistillError
from tagdistill.tagger.backend import CPU
from tagdistill.tagger.tagger import Tagger

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.base import Decode

OPTIONS = ("device", "precision")


class ModelOptions(TypedDict, total=False):
    """How a model is run: `Tagger.from_pretrained` says what they mean."""

    precision: str | None
    device: str
    threads: int | None
    encoder: Path | None


def decode_of(tagger: Tagger, constrained: bool | None) -> Decode:
    """Return how a model decodes, as an option says; None: as its dev sets were decoded."""
    if constrained is None:
        return tagger.decode
    return "constrained" if constrained else "unconstrained"


def open_model(model: str | Path, **options: Unpack[ModelOptions]) -> Tagger:
    """Return a tagger. Its errors name options of the command line."""
    try:
        return Tagger.from_pretrained(str(model), **options)
    except TagdistillError as error:
        hint = (error.hint or "").replace(CPU, "`--device cpu`") or None
        raise error.at(f"--{error.where}" if error.where in OPTIONS else error.where, hint=hint) from error
