"""A fine-tuned student with a linear head as a model that transformers loads by itself, without its chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tagdistill.artifacts.files import atomic_path, write_text
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.pieces import BARE, WordPieces
from tagdistill.encoders.pretrained import load_model, quiet_transformers
from tagdistill.errors import TagdistillError
from tagdistill.models.load import find_encoder, load_tagger
from tagdistill.models.model import read_config

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.models.finetuned import TunedLayers
    from tagdistill.models.load import Loaded
    from tagdistill.models.tagger import Tagger

# transformers merges spans of B- and I- labels only: an end is inside of a span, a single word is the start of one.
BIO = {"E-": "I-", "S-": "B-"}
KIND, FORMAT = "plain model of transformers", 1
WITH_TAGGER = "It loads with `tagdistill.Tagger`, from this folder or one that `snakemake export` wrote."


def write_plain(model: Path, out: Path, card: str, encoder: Path | None = None) -> None:
    """Write a student as a folder of `AutoModelForTokenClassification`, whose logits are the student's emissions.

    `card` is its README.md. Raises TagdistillError, and writes nothing, for a student that has more than an encoder and
    a linear layer.
    """
    config = read_config(model)
    check_plain(config, str(model))
    place = find_encoder(model, config, encoder)
    _check_pieces(place, config, str(model))
    loaded = load_tagger(model, encoder, precision="fp32")
    plain = _plain_model(loaded, place)
    with atomic_path(out) as folder, quiet_transformers():
        plain.save_pretrained(folder, safe_serialization=True)
        _tokenizer(place).save_pretrained(folder)
        write_text(folder / "README.md", card)
        if (notice := place / "NOTICE").exists():
            write_text(folder / "NOTICE", notice.read_text(encoding="utf-8"))


def check_plain(config: dict[str, Any], where: str) -> None:
    """Refuse a student that transformers alone cannot run, by its config.json."""
    head = config["spec"]["head"]
    if config["mode"] != "finetune":
        what = "its encoder is frozen: what stands on top reads a hidden layer that transformers does not give"
    elif head != "linear":
        what = f"it has a head of its own ({head}), which transformers does not know"
    elif config["spec"].get("mix"):
        what = "it reads a learned mix of hidden layers, which transformers does not know"
    else:
        return
    raise TagdistillError(f"cannot be a plain model of transformers: {what}", where=where, hint=WITH_TAGGER)


def _check_pieces(place: Path, config: dict[str, Any], where: str) -> None:
    """Refuse a student that leaves out pieces which transformers' tokenizer would give."""
    pieces = WordPieces.load(place)
    if config["encoder"].get("drop_bare_underline") and pieces.tokenizer.token_to_id(BARE) is not None:
        what = f"cannot be a plain model of transformers: it leaves out single pieces {BARE!r}"
        hint = f"Train it with `encoder: {{drop_bare_underline: false}}`. {WITH_TAGGER}"
        raise TagdistillError(what, where=where, hint=hint)


def bio(label: str) -> str:
    """Return a BIOES label as transformers merges it.

    >>> bio("E-PER"), bio("S-LOC"), bio("O"), bio("NOUN")
    ('I-PER', 'B-LOC', 'O', 'NOUN')
    """
    return BIO.get(label[:2], label[:2]) + label[2:]


def _plain_model(loaded: Loaded, place: Path) -> Any:
    from transformers import AutoModelForTokenClassification

    tuned = loaded.model.encoder
    assert tuned is not None  # of a fine-tuned one
    config = load_model(place, layers=tuned.encoder.depth, dtype=torch.float32).config
    config.id2label = {number: bio(label) for number, label in enumerate(loaded.labels)}
    config.label2id = {label: number for number, label in reversed(config.id2label.items())}
    config.update({"kind": KIND, "format": FORMAT})  # so that it is known as ours, and as no whole student
    plain = AutoModelForTokenClassification.from_config(config).eval()  # type: ignore[no-untyped-call]
    _copy_encoder(plain, tuned, str(place))
    _copy_head(plain, loaded.model.tagger, str(place))
    return plain


def _copy_encoder(plain: Any, tuned: TunedLayers, where: str) -> None:
    weights = tuned.encoder.model.state_dict()
    missing, unknown = plain.base_model.load_state_dict(weights, strict=False)
    if missing or unknown:
        what = f"transformers' classifier has other weights than the encoder: {', '.join([*missing, *unknown][:3])}"
        raise TagdistillError(what, where=where, hint=WITH_TAGGER)


@torch.no_grad()
def _copy_head(plain: Any, tagger: Tagger, where: str) -> None:
    """Copy the emissions, with the standardisation of what they read as a part of them."""
    classifier = getattr(plain, "classifier", None)
    weight = tagger.emission.weight / tagger.std
    if not isinstance(classifier, nn.Linear) or classifier.weight.shape != weight.shape:
        what = "transformers has no classifier of one linear layer for this encoder"
        raise TagdistillError(what, where=where, hint=WITH_TAGGER)
    classifier.weight.copy_(weight)
    classifier.bias.copy_(tagger.emission.bias - weight @ tagger.mean)


def _tokenizer(place: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    tokenizer.model_max_length = EncoderInfo.read(place).positions
    return tokenizer
