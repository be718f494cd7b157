"""Load a saved model, with the encoder that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagdistill.artifacts.stored_file import stored
from tagdistill.encoders.folder import RECORD, EncoderInfo
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.precision import precision_on
from tagdistill.errors import MismatchError, TagdistillError
from tagdistill.models.finetuned import load_tuned
from tagdistill.models.model import AGAIN, Model, load_model, read_config
from tagdistill.settings.base import Decode
from tagdistill.settings.encoder import EncoderSettings, Precision, WordEncoder, stored_states


@dataclass(frozen=True)
class Loaded:
    """A saved model in eval mode; `words` is the tokenizer of a fine-tuned one, None of one with a frozen encoder."""

    model: Model
    config: dict[str, Any]
    words: WordPieces | None

    @property
    def encoder(self) -> WordEncoder:
        """The settings of the encoder that the model was trained on."""
        return WordEncoder.model_validate(self.config["encoder"])

    @property
    def stored(self) -> EncoderSettings | None:
        """What is stored of the encoder for each corpus, if anything is."""
        layers = self.model.encoder
        return self.encoder if layers is None else stored_states(self.encoder, layers.first)

    @property
    def decode(self) -> Decode:
        """How its dev sets were decoded; of a model without one: constrained, which changes spans alone."""
        return "unconstrained" if self.config.get("decode") == "unconstrained" else "constrained"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label list, in the order of the emissions."""
        return self.model.tagger.spec.labels


def load_tagger(
    folder: Path, encoder: Path | None = None, device: str = "cpu", precision: Precision | None = None
) -> Loaded:
    """Return a saved tagger on a device; a fine-tuned one is looked up with its `encoder` (see `find_encoder`).

    `precision`: in which its encoder computes, instead of as in training. Raises ConfigError where the device lacks it.
    """
    config = read_config(folder)
    layers, words = None, None
    if config["mode"] == "finetune":
        settings = WordEncoder.model_validate(config["encoder"])
        settings = settings.model_copy(update={"precision": precision} if precision else {})
        precision_on(settings.precision, device)
        place = find_encoder(folder, config, encoder)
        with stored(folder / "config.json", "the settings of a model", hint=AGAIN):
            first = int(config["training"]["tune_from"])
        layers, words = load_tuned(place, settings, first)
    model, _ = load_model(folder, layers)
    return Loaded(model.to(device).eval(), config, words)


def find_encoder(folder: Path, config: dict[str, Any], given: Path | None = None) -> Path:
    """Return the converted encoder of a model: the one given, the one beside it, or in `resources/encoders/`.

    That folder is looked for above the model and in the working folder. Raises TagdistillError if the encoder is in
    none of these places, MismatchError if it is another one.
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


def _check_encoder(place: Path, key: str) -> None:
    info = EncoderInfo.read(place)
    values = {"provider": info.provider, "id": info.id, "revision": info.revision or None}
    own_key = encoder_key(EncoderSettings.model_validate(values))
    if own_key != key:
        raise MismatchError(f"this is {own_key!r}, the model was trained on {key!r}", where=str(place))
