"""Bring a saved model back, with the encoder it was made on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.providers import encoder_key
from tagdistill.errors import TagdistillError
from tagdistill.models.model import Model, load_model, read_config
from tagdistill.models.tuned import load_tuned
from tagdistill.settings import EncoderSettings


@dataclass(frozen=True)
class Loaded:
    """A model in eval mode; `words` is the tokenizer where its encoder was tuned, else None."""

    model: Model
    config: dict[str, Any]
    words: WordPieces | None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.tagger.spec.labels


def load_tagger(folder: Path, encoder: Path | None = None, device: str = "cpu") -> Loaded:
    """Return a saved tagger; `encoder` is needed where the model has tuned layers of it."""
    config = read_config(folder)
    layers, words = None, None
    if config["mode"] == "finetune":
        settings = EncoderSettings.model_validate(config["encoder"])
        place = encoder or find_encoder(folder, config)
        layers, words = load_tuned(place, settings, config["training"]["tune_from"])
    model, _ = load_model(folder, layers)
    return Loaded(model.to(device).eval(), config, words)


def find_encoder(folder: Path, config: dict[str, Any]) -> Path:
    """Return the converted encoder of a model: beside it, or in `resources/encoders/` of a folder above it or here."""
    key = encoder_key(EncoderSettings.model_validate(config["encoder"]))
    above = [*folder.resolve().parents, Path.cwd()]
    places = [folder / "encoder", *(place / "resources" / "encoders" / key for place in above)]
    for place in places:
        if (place / "tagdistill.json").exists():
            return place
    raise TagdistillError(
        f"the encoder {key!r} of this model is not here",
        where=str(folder),
        hint="Give it with --encoder FOLDER; `tagdistill convert-encoder` makes it.",
    )
