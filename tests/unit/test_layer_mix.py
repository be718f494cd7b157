"""A learned mix of hidden layers: its values, its gradients, and that every way to run a model gives the same."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from tiny_runs import LABELS, TINY, make_corpus, student_run, teacher_run, tiny_encoder

from tagdistill.artifacts.files import read_json
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, read_source
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_table import read_scores
from tagdistill.encoders.features import encode
from tagdistill.encoders.keys import feature_key
from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import ConfigError, MismatchError
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.plan import Plan
from tagdistill.models.layer_mix import LayerMix
from tagdistill.models.model import load_model
from tagdistill.models.tagger import Tagger, TaggerSpec
from tagdistill.reporting.card import model_card
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.tagger.torch_backend import TorchBackend
from tagdistill.training.assemble import assemble
from tagdistill.training.run_training import run_training

HIDDEN = 32  # of the tiny encoder


def tap(value) -> EncoderSettings:
    return EncoderSettings.model_validate({**TINY.model_dump(), "tap": value})


def features(folder, corpus, settings) -> CorpusFiles:
    path = folder / f"{feature_key(settings)}-{corpus.stem}.safetensors"
    encode({"x": corpus}, tiny_encoder(folder), settings, {"x": path})
    return CorpusFiles("aa", corpus, path)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return folder, [make_corpus(folder, "aa", split, 30) for split in ("train", "test")]


# -- the mix itself


def test_the_mix_is_the_weighted_sum_of_the_layers_times_a_scale():
    mix, random = LayerMix(3).double(), torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 5, 3 * 4 + 2, generator=random, dtype=torch.float64)
    with torch.no_grad():
        mix.logits.copy_(torch.randn(3, generator=random, dtype=torch.float64))
        mix.scale.fill_(1.7)
    found = mix(vectors, 4 + 2)
    powers = mix.logits.detach().exp().tolist()
    for sentence in range(2):
        for word in range(5):
            row = vectors[sentence, word].tolist()
            layers = [row[:4], row[4:8], row[8:12]]
            slow = [
                1.7 * sum(p / sum(powers) * layer[d] for p, layer in zip(powers, layers, strict=True)) for d in range(4)
            ]
            assert found[sentence, word].tolist() == pytest.approx([*slow, *row[12:]], rel=1e-12)


def test_the_gradients_of_weights_and_scale_are_right():
    vectors = torch.randn(3, 2 * 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    mix = LayerMix(2)

    def mixed(logits, scale, vectors):
        return torch.func.functional_call(mix, {"logits": logits, "scale": scale}, (vectors, 4))

    weights = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mixed, (weights, scale, vectors))


# -- against single taps and averages


def pair_of(head: str, layers: int) -> tuple[Tagger, Tagger]:
    """Return a tagger that mixes layers, and one of a single layer with the same other weights."""
    shape = {"inputs": HIDDEN, "labels": LABELS, "decoder": "crf", "head": head, "hidden": 5}
    mixing = Tagger(TaggerSpec(**shape, mix=tuple(range(layers)))).eval()
    plain = Tagger(TaggerSpec(**shape)).eval()
    plain.load_state_dict({k: v for k, v in mixing.state_dict().items() if not k.startswith("mix.")})
    return mixing, plain


def test_one_hot_weights_are_the_single_layer_and_equal_ones_are_the_average(corpora):
    folder, (corpus, _) = corpora
    settings = tap({"mix": [1, 3, 2]})
    stored = {name: read_source(features(folder, corpus, x), LABELS, x).vectors.float()[None] for name, x in
              {"mix": settings, "1": tap(1), "2": tap(2), "3": tap(3), "all": tap([1, 2, 3])}.items()}  # fmt: skip
    assert stored["mix"].shape[-1] == 3 * HIDDEN
    lengths = torch.tensor([stored["mix"].shape[1]])
    mixing, plain = pair_of("bilstm", 3)
    with torch.no_grad():
        for place, layer in enumerate(settings.mixed):
            mixing.mix.logits.copy_(torch.full((3,), -100.0))
            mixing.mix.logits[place] = 0.0
            assert torch.equal(mixing.emissions(stored["mix"], lengths), plain.emissions(stored[str(layer)], lengths))
        mixing.mix.logits.fill_(0.5)
        expected = plain.emissions(stored["all"], lengths)
        assert torch.allclose(mixing.emissions(stored["mix"], lengths), expected, atol=5e-3)
        assert not torch.allclose(plain.emissions(stored["1"], lengths), expected, atol=5e-3)


def test_a_new_model_is_standardised_as_one_that_reads_the_average(corpora):
    folder, (corpus, _) = corpora
    taggers = []
    for settings in (tap({"mix": [1, 2, 3]}), tap([1, 2, 3])):
        run = teacher_run(folder / "new", features(folder, corpus, settings), encoder=settings)
        taggers.append(assemble(run).model.tagger)
    assert taggers[0].mean.shape == (HIDDEN,)
    assert torch.allclose(taggers[0].mean, taggers[1].mean, atol=1e-3)
    assert torch.allclose(taggers[0].std, taggers[1].std, atol=1e-3)


def test_features_of_an_average_are_not_those_of_a_mix(corpora):
    folder, (corpus, _) = corpora
    average, mix = tap([1, 2]), tap({"mix": [1, 2]})
    assert feature_key(average) != feature_key(mix)
    for made, wanted in ((average, mix), (mix, average)):
        with pytest.raises(MismatchError, match="needed is"):
            read_source(features(folder, corpus, made), LABELS, wanted)


# -- trained models


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_a_trained_model_keeps_its_weights_wherever_it_runs(corpora, mode, tmp_path, caplog):
    folder, (train, test) = corpora
    settings, tuned = tap("mix"), {}
    if mode == "finetune":
        settings = settings.tuned_from(1)
        encoder = {"encoder_folder": tiny_encoder(folder), "learning_rate_encoder": 3e-3}
        tuned = {"mode": "finetune", "head": "linear", "tune_from": 1, **encoder}
    files = [features(folder, corpus, settings) for corpus in (train, test)]
    if mode == "finetune":
        files = [CorpusFiles("aa", one.corpus) for one in files]
    with caplog.at_level(logging.INFO):
        run_training(student_run(tmp_path, files[:1], encoder=settings, objective="baseline", updates=30, **tuned))
    layers = ("1", "2", "3") if mode == "frozen" else ("2", "3")
    record = read_json(tmp_path / "training.json")["mix"]
    assert tuple(record["weights"]) == layers and sum(record["weights"].values()) == pytest.approx(1, abs=1e-3)
    assert any(abs(weight - 1 / len(layers)) > 0.01 for weight in record["weights"].values()) and record["scale"] != 1
    assert "weights of the hidden layers: " + layers[0] in caplog.text

    share = 100 * record["weights"]["2"]
    card = model_card(read_json(tmp_path / "model" / "config.json"))
    assert (
        f"mix of hidden layers of the encoder with learned weights: {layers[0]} (" in card
        and f"2 ({share:.0f} %)" in card
    )

    score_corpus(tmp_path / "model", files[1], tmp_path / "scores.parquet", encoder=tuned.get("encoder_folder"))
    scores = read_scores(tmp_path / "scores.parquet")
    backend = TorchBackend(tmp_path / "model", encoder=tiny_encoder(folder))
    assert backend.loaded.model.tagger.mix.record(settings.mixed) == record
    sentences = read_corpus(test).tokens
    pieces = WordPieces.load(backend.place)(sentences)
    found = np.concatenate(backend.emissions(pieces, sentences, range(len(sentences))))
    np.testing.assert_allclose(found, scores.emissions, atol=1e-3)


def test_a_model_with_a_mix_reads_word_vectors_beside_it():
    spec = TaggerSpec(inputs=4 + 3, mix=(1, 2), labels=LABELS, decoder="crf", head="linear")
    tagger, vectors = Tagger(spec).eval(), torch.randn(1, 2, 2 * 4 + 3)
    with torch.no_grad():
        tagger.mix.logits.copy_(torch.tensor([0.0, -100.0]))
        expected = torch.cat([vectors[..., :4], vectors[..., 8:]], -1)
        assert torch.equal(tagger.mixed(vectors), expected)


def test_a_saved_model_needs_no_more_than_before(corpora, tmp_path):
    folder, (train, _) = corpora
    run_training(teacher_run(tmp_path, features(folder, train, TINY), encoder=TINY))
    state = load_model(tmp_path / "model")[0].own_state()
    assert not any("mix" in name for name in state) and "mix" not in read_json(tmp_path / "training.json")


# -- settings and plans


def config(**encoder) -> dict:
    return {
        "name": "mixed",
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "languages": {"en": {"source": "demo"}},
        "encoder": {"provider": "tiny", "layers": 3, **encoder},
        "teacher": {"updates": 3},
        "student": {"updates": 3, "mode": "finetune", "tune_from": 1},
        "distill": {"objectives": ["posterior"]},
    }


def test_a_mix_of_all_is_that_of_the_layers_up_to_the_highest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plans = [Plan(check_experiment(config(tap=x), "c"), tmp_path) for x in ("mix", {"mix": [1, 2, 3]}, [1, 2, 3], 2)]
    keys = [(plan.keys.teacher("en", "crf", 0), plan.keys.student("posterior", 0)) for plan in plans]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    assert '"tap": {"mix": [2, 3]}' in plans[0].specs.student("posterior", 0)  # the tuned ones
    assert '"tap": {"mix": [1, 2, 3]}' in plans[0].specs.teacher("en", "crf", 0)
    assert "-mix1+2+3-mean" in plans[0].files.features(plans[0].experiment.encoder, "en", "train")


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"tap": {"mix": [2]}}, r"encoder: `tap: mix` needs two layers or more, each once, not \[2\]"),
        ({"tap": {"mix": [2, 2]}}, r"needs two layers or more, each once, not \[2, 2\]"),
        ({"tap": {"mx": [1, 2]}}, r"encoder\.tap: cannot be \{'mx': \[1, 2\]\}"),
        ({"tap": "all"}, r"encoder\.tap: cannot be 'all'"),
        ({"tap": {"mix": [1, 2]}}, r"(?s)student\.tune_from: 1 layers are kept frozen.*\[1, 2\], only \[2\] are tuned"),
        ({"tap": "mix", "layers": 1}, r"needs two layers or more, each once, not \[1\]"),
    ],
)
def test_what_cannot_be_mixed_is_refused(encoder, message):
    with pytest.raises(ConfigError, match=message):
        check_experiment(config(**encoder), "c")


def test_a_layer_that_the_encoder_lacks_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = config(tap={"mix": [1, 99]})
    values["student"] = {"updates": 3}
    with pytest.raises(ConfigError, match=r"encoder\.tap: layer 99, but this encoder has"):
        Plan(check_experiment(values, "c"), tmp_path).check_files()
