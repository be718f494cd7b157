"""Saved taggers of random weights on the tiny encoder, for the tests of graphs and of `Tagger`."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_runs import LABELS, TINY, make_corpus, tiny_encoder

from tagdistill.encoders.load import load_encoder
from tagdistill.export.bundle import Corpora, export_student
from tagdistill.models.finetuned import TunedLayers
from tagdistill.models.model import Model, save_model
from tagdistill.models.tagger import TaggerSpec
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.settings.export import Export

HIDDEN = 32  # of the tiny encoder


def saved_tagger(
    folder: Path, *, labels=LABELS, task="ner", head="bilstm", mode="frozen", seed=0, decode=None, **encoder
) -> Path:
    """Write a tagger whose weights are random, its chain included, and return its folder."""
    torch.manual_seed(seed)
    settings = EncoderSettings.model_validate({**TINY.model_dump(), **encoder})
    place = tiny_encoder(folder)
    settings = settings.tuned_from(1) if mode == "finetune" else settings
    layers = TunedLayers(load_encoder(place, settings.layers), 1, settings) if mode == "finetune" else None
    spec = TaggerSpec(inputs=HIDDEN, mix=settings.mixed, labels=labels, decoder="crf", head=head, hidden=8)
    model = Model(spec, layers)
    with torch.no_grad():
        for weights in (*model.tagger.parameters(), *(layers.blocks.parameters() if layers else ())):
            weights.add_(torch.randn_like(weights) * 0.3)
        model.tagger.standardise_by(torch.randn(HIDDEN), torch.rand(HIDDEN) + 0.5)
    config = {"mode": mode, "encoder": settings.model_dump(mode="json"), "training": {"tune_from": 1}}
    rest = {
        "task": task,
        "languages": ["en"],
        "labels": list(labels),
        "decoder": "crf",
        "seed": seed,
        "objective": "baseline",
    }
    save_model(folder / "model", model, {**config, **rest, **({"decode": decode} if decode else {})})
    return folder / "model"


def exported(
    folder: Path, *formats: str, corpora: list[Path] | None = None, vocabulary="full", unspaced="auto", **tagger
) -> Path:
    """Export a tagger of random weights and return the folder."""
    model = saved_tagger(folder, **tagger)
    card = folder / "card.md"
    card.write_text("# A card\n")
    tests = corpora or [make_corpus(folder / "data", "en", "test", 30)]
    settings = Export(formats=formats or ("fp32",), vocabulary=vocabulary, unspaced=unspaced)
    export_student(model, tiny_encoder(folder), card, folder / "out", settings, Corpora(tests=tests))
    return folder / "out"
