"""A whole model, from what is stored of a sentence to its distribution over label sequences, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tagdistill.artifacts.files import atomic_path, check_kind, read_json, write_json
from tagdistill.crf import LinearChain
from tagdistill.errors import MismatchError, TagdistillError
from tagdistill.models.finetuned import TunedLayers
from tagdistill.models.inputs import ModelInputs
from tagdistill.models.tagger import Tagger, TaggerSpec, constrain

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
        save_file(state, temporary / "model.safetensors", metadata={"labels": labels})
        spec = model.tagger.spec.model_dump(mode="json")
        write_json(temporary / "config.json", {**config, "format": FORMAT, "kind": KIND, "spec": spec})


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config of a saved model.

    Raises TagdistillError if the folder holds none, MismatchError if it is of another kind or format.
    """
    if not (folder / "config.json").exists():
        raise TagdistillError("holds no saved model", where=str(folder), hint="Give the folder with config.json in it.")
    file = folder / "config.json"
    return check_kind(read_json(file), KIND, FORMAT, file)


def load_model(folder: Path, encoder: TunedLayers | None = None) -> tuple[Model, dict[str, Any]]:
    """Return a saved model in eval mode and its config; a fine-tuned one needs the `encoder` that it was tuned from.

    Raises TagdistillError if the weights cannot be read, MismatchError if they are of another label list.
    """
    config = read_config(folder)
    model = Model(TaggerSpec.model_validate_json(json.dumps(config["spec"])), encoder)
    model.load_own_state(_weights(folder / "model.safetensors", model.tagger.spec.labels))
    return model.eval(), config


def _weights(file: Path, labels: tuple[str, ...]) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            known = tuple(json.loads((opened.metadata() or {}).get("labels", "null")) or ())
        if known != labels:
            raise MismatchError(f"the weights are of the labels {known}, config.json has {labels}", where=str(file))
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise TagdistillError(f"cannot be read: {error}", where=str(file), hint="Train the model again.") from error
