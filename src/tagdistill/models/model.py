"""A whole model, from what is stored of a sentence to its distribution over label sequences, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tagdistill.artifacts.files import UPDATE, atomic_path, check_kind, read_json, sha256_file, write_json
from tagdistill.artifacts.stored_file import stored
from tagdistill.crf import LinearChain
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.models.finetuned import TunedLayers
from tagdistill.models.inputs import ModelInputs
from tagdistill.models.tagger import Tagger, TaggerSpec, constrain
from tagdistill.settings.base import Settings
from tagdistill.settings.encoder import WordEncoder
from tagdistill.settings.validation import validate

WEIGHTS = "model.safetensors"
KEYS = ("encoder", "mode", "task", "decoder", "objective", "languages", "seed", "training")  # that are read
AGAIN = (
    "Copy the model again, export it (`snakemake export --cores 2 --configfile FILE`), or delete its whole folder and "
    "run again."
)
KIND = "tagger"
FORMAT = 2  # 2: the BiLSTM is one LSTM in each direction


class Model(nn.Module):
    """A tagger on the vectors of a frozen encoder, or with the upper encoder layers that it fine-tunes."""

    def __init__(self, spec: TaggerSpec, encoder: TunedLayers | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.tagger = Tagger(spec)

    def forward(self, batch: ModelInputs) -> LinearChain:
        """Return the distribution over the label sequences of each sentence of a batch."""
        vectors = batch["vectors"] if self.encoder is None else self.encoder(batch)
        chain: LinearChain = self.tagger(vectors, batch["lengths"])
        return chain

    def best_labels(self, chain: LinearChain, *, constrained: bool = False) -> Tensor:
        """Return the best labels (batch, time) of a distribution of this model, 0 past a sentence's end.

        `constrained`: well-formed BIOES only.
        """
        return (constrain(chain, self.tagger.spec.labels) if constrained else chain).argmax

    def own_state(self) -> dict[str, Tensor]:
        """Return every weight that is this model's own: the tagger and the tuned layers."""
        return {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}

    def load_own_state(self, state: dict[str, Tensor]) -> None:
        """Load what `own_state` returned."""
        self.load_state_dict(state)


def save_model(folder: Path, model: Model, config: dict[str, Any]) -> None:
    """Write model.safetensors and config.json, both or neither."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        state = {name: tensor.cpu() for name, tensor in model.own_state().items()}
        # The weights carry their label order too: a config that was edited or mixed up is noticed.
        labels = json.dumps(model.tagger.spec.labels, ensure_ascii=False)
        save_file(state, temporary / WEIGHTS, metadata={"labels": labels})
        record = {"format": FORMAT, "kind": KIND, "spec": model.tagger.spec.model_dump(mode="json")}
        write_json(temporary / "config.json", {**config, **record, "weights_sha256": sha256_file(temporary / WEIGHTS)})


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config of a saved model that a training wrote.

    Raises TagdistillError if the folder holds none, DataError if it is damaged, MismatchError if it is of another kind
    or format, ConfigError if its encoder or its shape has a setting that this version does not know.
    """
    config, file = _read_config(folder), folder / "config.json"
    if missing := [key for key in KEYS if key not in config]:
        raise DataError(f"{missing[0]!r} is missing", where=str(file), hint=AGAIN)
    _checked(WordEncoder, config["encoder"], f"{file}: encoder")
    return config


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.exists():
        raise TagdistillError("holds no saved model", where=str(folder), hint="Give the folder with config.json in it.")
    config = check_kind(read_json(file, AGAIN), KIND, FORMAT, file, hint=AGAIN)
    if "spec" not in config:
        raise DataError("'spec' is missing", where=str(file), hint=AGAIN)
    _checked(TaggerSpec, config["spec"], f"{file}: spec")
    return config


def _checked(model: type[Settings], values: object, where: str) -> None:
    try:
        validate(model, values, where, joint=".")
    except ConfigError as error:
        raise error.at(error.where, hint=f"{UPDATE} Or the file was edited: {AGAIN[0].lower()}{AGAIN[1:]}") from None


def load_model(folder: Path, encoder: TunedLayers | None = None) -> tuple[Model, dict[str, Any]]:
    """Return a saved model in eval mode and its config; a fine-tuned one needs the `encoder` that it was tuned from.

    Raises TagdistillError if the weights cannot be read, MismatchError if they are of another label list.
    """
    config = _read_config(folder)
    model = Model(TaggerSpec.model_validate(config["spec"]), encoder)
    file = folder / WEIGHTS
    state = _weights(file, model.tagger.spec.labels, config.get("weights_sha256"))
    with stored(file, "the weights of this model", hint=AGAIN):
        model.load_own_state(state)
    return model.eval(), config


def _weights(file: Path, labels: tuple[str, ...], sha256: str | None) -> dict[str, Tensor]:
    with stored(file, "weights", hint=AGAIN):
        with safe_open(file, framework="pt") as opened:
            known = tuple(json.loads((opened.metadata() or {}).get("labels", "null")) or ())
        if known != labels:
            raise MismatchError(f"the weights are of the labels {known}, config.json has {labels}", where=str(file))
        if sha256 not in (None, found := sha256_file(file)):
            what = f"altered: its SHA-256 is {found}, config.json has {sha256}"
            raise MismatchError(what, where=str(file), hint=AGAIN)
        return load_file(file)
