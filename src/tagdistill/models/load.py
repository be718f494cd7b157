"""Bring a saved model back, with the encoder it was made on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagdistill.encoders.folder import RECORD, EncoderInfo
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.vectors import vectors_key
from tagdistill.errors import MismatchError, TagdistillError
from tagdistill.models.finetuned import load_tuned
from tagdistill.models.model import Model, load_model, read_config
from tagdistill.settings.encoder import EncoderSettings, Vectors, WordEncoder


@dataclass(frozen=True)
class Loaded:
    """A model in eval mode; `words` is the tokenizer where its encoder was tuned, else None."""

    model: Model
    config: dict[str, Any]
    words: WordPieces | None

    @property
    def encoder(self) -> WordEncoder:
        """The settings of the encoder that the model was made on."""
        return WordEncoder.model_validate(self.config["encoder"])

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.tagger.spec.labels


def load_tagger(folder: Path, encoder: Path | None = None, device: str = "cpu") -> Loaded:
    """Return a saved tagger; `encoder` is needed where the model has tuned layers of it."""
    config = read_config(folder)
    layers, words = None, None
    if config["mode"] == "finetune":
        settings = WordEncoder.model_validate(config["encoder"])
        place = find_encoder(folder, config, encoder)
        layers, words = load_tuned(place, settings, config["training"]["tune_from"])
    model, _ = load_model(folder, layers)
    return Loaded(model.to(device).eval(), config, words)


def find_encoder(folder: Path, config: dict[str, Any], given: Path | None = None) -> Path:
    """Return the converted encoder of a model: the one given, the one beside it, or in `resources/encoders/`.

    That folder is looked for above the model and where the command runs. Raises MismatchError for another encoder.
    """
    key = encoder_key(WordEncoder.model_validate(config["encoder"]))
    above = [*folder.resolve().parents, Path.cwd()]
    places = [folder / "encoder", *(place / "resources" / "encoders" / key for place in above)]
    for place in [given] if given else places:
        if given or (place / RECORD).exists():
            _check_encoder(place, key)
            return place
    raise TagdistillError(
        f"the encoder {key!r} of this model is not here",
        where=str(folder),
        hint="Give it with --encoder FOLDER; `tagdistill convert-encoder` makes it.",
    )


def find_vectors(folder: Path, vectors: Vectors) -> Path:
    """Return the converted word vectors of a teacher: those in `resources/vectors/`, above `folder` or here."""
    key = vectors_key(vectors)
    for above in [*folder.resolve().parents, Path.cwd()]:
        if (place := above / "resources" / "vectors" / key).is_dir():
            return place
    raise TagdistillError(
        f"the word vectors {key!r} of this teacher are not here",
        where=str(folder),
        hint="Run it in the folder of its project, which has them in resources/vectors/.",
    )


def _check_encoder(place: Path, key: str) -> None:
    info = EncoderInfo.read(place)
    found = encoder_key(
        EncoderSettings.model_validate({"provider": info.provider, "id": info.id, "revision": info.revision or None})
    )
    if found != key:
        raise MismatchError(f"this is {found!r}, the model was trained on {key!r}", where=str(place))
