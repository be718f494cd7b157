"""A self-contained student in one folder: its weights and those of its encoder, or graphs, and its model card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safetensors import safe_open

from tagdistill.artifacts.files import atomic_path
from tagdistill.artifacts.stored_file import stored
from tagdistill.encoders.folder import EncoderInfo, weights_sha256
from tagdistill.encoders.load import check_layers
from tagdistill.encoders.pretrained import load_model, quiet_transformers
from tagdistill.models.model import read_config
from tagdistill.settings.encoder import WordEncoder
from tagdistill.settings.export import Export

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

NOTICE = "NOTICE"  # the licence of the encoder's weights
TORCH = Export(formats=("torch",))


@dataclass(frozen=True)
class Corpora:
    """The files of an experiment's text: what is trained on, and test sets."""

    training: Sequence[Path] = ()
    tests: Sequence[Path] = ()


def export_student(
    model: Path, encoder: Path, card: Path, out: Path, settings: Export = TORCH, corpora: Corpora = Corpora()
) -> None:
    """Write the student in `model` as `out`, a folder that is all that labelling text needs.

    `encoder` is the folder of the converted encoder, `card` the model card; graphs are compared on `corpora`.
    Raises TagdistillError, and writes nothing, if a graph does not say what the model says.
    """
    with atomic_path(out) as folder:
        folder.mkdir()  # `copytree` would copy the mode, too: of a model that nobody may write to
        shutil.copyfile(card, folder / "README.md")
        if "torch" in settings.formats:
            write_torch(model, encoder, folder)
        if precisions := [name for name in settings.formats if name != "torch"]:
            from tagdistill.export.graph_folder import Texts, write_graphs

            texts = Texts.read(corpora.training, corpora.tests)
            write_graphs(model, encoder, folder, precisions=precisions, settings=settings, texts=texts)
            if (encoder / NOTICE).exists():
                shutil.copyfile(encoder / NOTICE, folder / NOTICE)


def write_torch(model: Path, encoder: Path, folder: Path) -> None:
    """Write the weights of a student and its encoder.

    The encoder keeps the layers that the model runs: up to the highest one that it reads, or all that it was fine-tuned
    with. The other layers never ran and the weights keep their precision, so that predictions are the same.
    """
    config = read_config(model)
    settings = WordEncoder.model_validate(config["encoder"])
    layers = settings.layers if config["mode"] == "finetune" else max(settings.taps)
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(model / file, folder / file)
    write_first_layers(encoder, layers, folder / "encoder")


def write_first_layers(encoder: Path, layers: int, out: Path) -> None:
    """Write the first layers of a converted encoder as a folder of a converted encoder."""
    info = EncoderInfo.read(encoder)
    check_layers(info, layers)
    info.check_weights(encoder)
    shortened = load_model(encoder, layers=layers, dtype=dtype_of(encoder))
    with quiet_transformers():
        shortened.save_pretrained(out, safe_serialization=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", NOTICE):
        if (encoder / file).exists():
            shutil.copyfile(encoder / file, out / file)
    whole = info.whole and layers == info.layers
    replace(info, layers=layers, sha256=weights_sha256(out), whole=whole).write(out)


def dtype_of(encoder: Path) -> torch.dtype:
    """Return the precision of an encoder's stored weights."""
    weights = min(encoder.glob("*.safetensors"))
    with stored(weights, "weights"), safe_open(weights, framework="pt") as file:
        dtype: torch.dtype = file.get_tensor(next(iter(file.keys()))).dtype
        return dtype
