"""`encoder.precision`: one setting for all stages that run an encoder; features of another one are never taken."""

from __future__ import annotations

import logging

import pytest
import torch
from tiny_runs import LABELS, TINY, make_corpus, teacher_run, tiny_encoder

from tagdistill.artifacts.files import read_json
from tagdistill.distill.dataset import CorpusFiles, read_source
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.encoders import precision
from tagdistill.encoders.features import encode
from tagdistill.encoders.load import Encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.precision import computing, has_bf16, precision_on, usable_precision
from tagdistill.encoders.store import read_metadata
from tagdistill.errors import ConfigError, MismatchError
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.settings.encoder import EncoderSettings, WordEncoder
from tagdistill.tagger.torch_backend import TorchBackend
from tagdistill.training.run_training import run_training

BF16 = TINY.model_copy(update={"precision": "bf16"})


@pytest.fixture
def products(monkeypatch) -> list[torch.dtype]:
    """The type of each matrix product of an encoder, as bfloat16 is computed on any CPU here."""
    monkeypatch.setattr(precision, "has_bf16", lambda _device: True)
    found: list[torch.dtype] = []
    torch_linear = torch.nn.Linear.forward

    def linear(layer: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        result = torch_linear(layer, values)
        if layer.out_features != len(LABELS):  # the tagger's own head is never in half precision
            found.append(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.Linear, "forward", linear)
    return found


@pytest.mark.parametrize(
    ("setting", "device", "there", "expected"),
    [
        ("auto", "cpu", True, "fp32"),
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp32"),
        ("fp32", "cuda", True, "fp32"),
        ("bf16", "cpu", True, "bf16"),
        ("bf16", "cuda", True, "bf16"),
    ],
)
def test_what_a_setting_means_on_a_device(setting, device, there, expected, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda _device: there)
    assert precision_on(setting, device) == usable_precision(setting, device) == expected
    if device == "cpu":
        assert isinstance(computing(setting, device), torch.autocast) == (expected == "bf16")


def test_a_device_that_would_imitate_it_is_refused_or_for_saved_models_replaced(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert not has_bf16("cpu")
    with pytest.raises(ConfigError, match=r"encoder.precision: 'bf16', but this CPU has no instructions for it"):
        precision_on("bf16", "cpu")
    with caplog.at_level(logging.WARNING, "tagdistill"):
        assert usable_precision("bf16", "cpu") == "fp32"
    assert "computing in fp32" in caplog.text
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert has_bf16("cpu")


def test_settings_that_name_no_precision_are_written_as_before_it_existed():
    for model in (EncoderSettings, WordEncoder):
        plain = model.model_validate({"provider": "tiny"})
        assert "precision" not in plain.model_dump() and "precision" not in plain.model_dump_json()
        named = model.model_validate({"provider": "tiny", "precision": "bf16"})
        assert named.model_dump()["precision"] == "bf16"
        assert model.model_validate(named.model_dump()) == named
        assert model.model_validate(plain.model_dump()) == plain


def test_features_of_another_precision_are_computed_again_and_never_read(tmp_path, products):
    corpus, encoder, out = make_corpus(tmp_path, "aa", "train", 6), tiny_encoder(tmp_path), tmp_path / "f"
    kinds = {}
    for settings in (TINY, BF16, TINY.model_copy(update={"precision": "fp32"})):
        products.clear()
        encode({"x": corpus}, encoder, settings, {"x": out})
        kinds[settings.precision] = set(products), read_metadata(out).get("precision"), out.read_bytes()
        read_source(CorpusFiles("aa", corpus, out), list(LABELS), settings)
        other = BF16 if settings != BF16 else TINY.model_copy(update={"precision": "fp32"})
        with pytest.raises(MismatchError, match="precision is"):
            read_source(CorpusFiles("aa", corpus, out), list(LABELS), other)
    assert kinds["auto"][:2] == ({torch.float32}, None) and kinds["bf16"][:2] == ({torch.bfloat16}, "bf16")
    assert kinds["fp32"][2] == kinds["auto"][2] != kinds["bf16"][2]


@pytest.mark.parametrize("settings", [TINY, BF16], ids=["auto", "bf16"])
def test_a_fine_tuned_encoder_computes_alike_in_training_score_evaluation_and_use(settings, tmp_path, products):
    expected = {torch.bfloat16 if settings.precision == "bf16" else torch.float32}
    train, dev = (CorpusFiles("aa", make_corpus(tmp_path, "aa", split, 8)) for split in ("train", "dev"))
    encoder = tiny_encoder(tmp_path)
    run = teacher_run(
        tmp_path / "t", train, dev, mode="finetune", tune_from=1, updates=2, encoder=settings, encoder_folder=encoder
    )
    run_training(run)
    assert set(products) == expected
    model = run.outputs.model
    assert read_json(model / "config.json")["encoder"].get("precision", "auto") == settings.precision
    for stage in (
        lambda: score_corpus(model, train, tmp_path / "scores.parquet", encoder=encoder),
        lambda: evaluate_model(
            model, "m", [dev], {"aa": "trained"}, predictions=tmp_path, metrics=tmp_path, encoder=encoder
        ),
        lambda: _use(TorchBackend(model, encoder=encoder)),
    ):
        products.clear()
        stage()
        assert set(products) == expected
    products.clear()
    _use(TorchBackend(model, encoder=encoder, precision="fp32"))  # what graphs are made of and compared with
    assert set(products) == {torch.float32}


def _use(backend: TorchBackend) -> None:
    words = [["o1", "s-per2"], ["o3"]]
    backend.emissions(WordPieces.load(backend.place)(words), words, [0, 1])


def test_a_frozen_models_own_encoder_has_the_precision_of_its_features(tmp_path, products):
    corpus, encoder = make_corpus(tmp_path, "aa", "train", 6), tiny_encoder(tmp_path)
    features = tmp_path / "f"
    encode({"x": corpus}, encoder, BF16, {"x": features})
    run = teacher_run(tmp_path / "t", CorpusFiles("aa", corpus, features), updates=1, encoder=BF16)
    run_training(run)
    products.clear()
    _use(TorchBackend(run.outputs.model, encoder=encoder))
    assert set(products) == {torch.bfloat16}


def test_a_stage_refuses_what_its_device_lacks_before_it_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda _device: False)
    monkeypatch.setattr(Encoder, "_run", lambda *_: pytest.fail("too late"))
    corpus, encoder = make_corpus(tmp_path, "aa", "train", 6), tiny_encoder(tmp_path)
    with pytest.raises(ConfigError, match="no instructions"):
        encode({"x": corpus}, encoder, BF16, {"x": tmp_path / "f"})
    run = teacher_run(
        tmp_path / "t",
        CorpusFiles("aa", corpus),
        mode="finetune",
        tune_from=1,
        updates=1,
        encoder=BF16,
        encoder_folder=encoder,
    )
    with pytest.raises(ConfigError, match="no instructions"):
        run_training(run)
