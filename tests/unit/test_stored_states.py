"""States of frozen layers: stored once for each text, equal to what a training computes, and refused elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import LABELS, TINY, make_corpus, student_run, teacher_run, tiny_encoder, with_targets

from tagdistill.artifacts import scratch
from tagdistill.artifacts.files import read_json, sha256_file
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, read_source
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_folds import score_out_of_fold
from tagdistill.distill.score_table import read_scores
from tagdistill.encoders import states as module
from tagdistill.encoders.features import encode
from tagdistill.encoders.load import Encoder, load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.states import States
from tagdistill.encoders.store import FeatureStore, read_metadata, writing
from tagdistill.errors import MismatchError
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.models.finetuned import PieceInputs, load_tuned
from tagdistill.settings.encoder import EncoderSettings, PieceStates, stored_states
from tagdistill.training.run import Run
from tagdistill.training.run_training import run_training

LAYER = 1
STATES = PieceStates(provider="tiny", tap=LAYER)
TUNED = {"mode": "finetune", "head": "linear", "tune_from": LAYER, "updates": 6, "learning_rate_encoder": 1e-3}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def data(encoder, tmp_path_factory) -> dict[str, CorpusFiles]:
    """Texts of two languages with the states of their pieces."""
    folder = tmp_path_factory.mktemp("data")
    counts = {"train": 30, "dev": 8, "test": 9, "unlabelled": 12}
    pairs = [(x, split) for x in "ab" for split in counts]
    return {f"{x}/{split}": stored(make_corpus(folder, x, split, counts[split]), encoder) for x, split in pairs}


def stored(corpus: Path, encoder: Path, settings: EncoderSettings = STATES) -> CorpusFiles:
    """Return the files of a corpus with the states of its pieces."""
    out = corpus.with_suffix(".states.safetensors")
    encode({"x": corpus}, encoder, settings, {"x": out})
    return CorpusFiles(read_corpus(corpus).language, corpus, states=out)


def computed(files: CorpusFiles) -> CorpusFiles:
    """Return the same files without states: the job computes them."""
    return replace(files, states=None)


def weights(run: Run) -> str:
    return sha256_file(run.outputs.model / "model.safetensors")


def windows(text: list[list[str]], encoder: Path) -> int:
    return len(WordPieces.load(encoder)(text).windows) - 1


# ---- the store


def test_a_store_holds_the_state_of_each_piece_of_each_window(encoder, tmp_path):
    path = make_corpus(tmp_path, "a", "train", 5)
    files = stored(path, encoder)
    store, whole = FeatureStore.open(files.states), load_encoder(encoder)
    pieces = WordPieces.load(encoder)(read_corpus(path).tokens)
    assert store.offsets.tolist() == [0, *np.cumsum(pieces.window_lengths)]
    for window in range(len(pieces.windows) - 1):
        batch = pieces.batch([window])
        with torch.no_grad():
            (alone,) = whole.hidden_states(batch.ids, batch.mask, [LAYER])
        part = store.features[store.offsets[window] : store.offsets[window + 1]]
        torch.testing.assert_close(part.float(), alone[0], atol=2e-3, rtol=2e-3)
    metadata = read_metadata(files.states)
    assert (metadata["taps"], metadata["pooling"], metadata["counts"]["windows"]) == ([LAYER], "none", len(store))


def test_a_store_that_is_there_is_kept_and_one_of_other_settings_replaced(encoder, tmp_path):
    files = stored(make_corpus(tmp_path, "a", "train", 5), encoder)
    before = files.states.stat().st_ino
    assert stored(files.corpus, encoder).states.stat().st_ino == before
    stored(files.corpus, encoder, PieceStates(provider="tiny", tap=2))
    assert read_metadata(files.states)["taps"] == [2]


def test_a_write_that_is_killed_leaves_nothing(encoder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_halves", stop)
    corpus = make_corpus(tmp_path, "a", "train", 5)
    with pytest.raises(KeyboardInterrupt):
        stored(corpus, encoder)
    assert [file.name for file in corpus.parent.iterdir()] == [corpus.name]


def test_states_of_several_texts_are_read_like_those_of_one():
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float16)
    one = States([values], np.array([0, 2, 4, 9]))
    several = States([values[:4], values[:0], values[4:]], one.ends)
    places = np.array([8, 0, 3, 4, 4])
    assert np.array_equal(several[places], values[places]) and np.array_equal(one[places], values[places])


@pytest.mark.parametrize("large", [True, False], ids=["mapped", "in memory"])
def test_a_run_resumes_from_the_states_that_it_computes_as_from_those_that_are_stored(
    large, encoder, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(scratch, "LARGE", 0 if large else 1 << 30)
    layers, words = load_tuned(encoder, TINY, LAYER)
    texts = [read_corpus(data[f"{x}/train"].corpus).tokens for x in "ab"]
    stores = [FeatureStore.open(data[f"{x}/train"].states) for x in "ab"]
    ours = PieceInputs.of(texts, words, layers, cache=True, room=tmp_path)
    theirs = PieceInputs.of(texts, words, layers, stored=stores)
    mixed = PieceInputs.of(texts, words, layers, stored=[None, stores[1]], cache=True, room=tmp_path)
    assert isinstance(ours.states.parts[0], np.memmap) is large
    rows = np.array([3, 29, 30, 44])  # of both texts
    batch, *others = (each.batch(rows) for each in (ours, theirs, mixed))
    assert all(torch.equal(other["states"], batch["states"]) for other in others)
    assert not batch["states"][~batch["pieces"].mask].any()
    with torch.no_grad():
        whole = layers.encoder.hidden_states(batch["pieces"].ids, batch["pieces"].mask, [3])[0]
        resumed = layers.encoder.forward_from(batch["states"], batch["pieces"].mask, LAYER, [3])[0]
    torch.testing.assert_close(resumed[batch["pieces"].mask], whole[batch["pieces"].mask], atol=5e-3, rtol=5e-3)
    assert "states" not in PieceInputs.of(texts, words, layers).batch(rows)  # of a single pass: with its batches


# ---- trainings, scores, evaluations


@pytest.mark.parametrize("fold", [None, (0, 2), (1, 2)], ids=["whole", "fold 0", "fold 1"])
def test_a_teacher_has_the_same_weights_with_stored_states(fold, encoder, data, tmp_path):
    def run(name: str, files) -> Run:
        train, dev = files(data["a/train"]), files(data["a/dev"])
        return replace(teacher_run(tmp_path / name, train, dev, encoder_folder=encoder, **TUNED), fold=fold)

    ours, theirs = run("computed", computed), run("stored", lambda files: files)
    run_training(ours)
    run_training(theirs)
    assert weights(ours) == weights(theirs)
    assert read_json(ours.outputs.summary)["dev"] == read_json(theirs.outputs.summary)["dev"]


def test_a_student_of_two_languages_has_the_same_weights_with_stored_states(data, tmp_path):
    encoder = tiny_encoder(tmp_path)
    teachers = {x: teacher_run(tmp_path / x, data[f"{x}/train"], encoder_folder=encoder, **TUNED) for x in "ab"}
    for each in teachers.values():
        run_training(each)

    def taught(language: str, split: str) -> CorpusFiles:
        folder = tmp_path / language / split
        files = with_targets(teachers[language].outputs.model, data[f"{language}/{split}"], folder)
        return replace(files, states=data[f"{language}/{split}"].states)

    train, unlabelled = ([taught(x, split) for x in "ab"] for split in ("train", "unlabelled"))
    dev = [data[f"{x}/dev"] for x in "ab"]

    def run(name: str, files) -> Run:
        lists = {"unlabelled": list(map(files, unlabelled)), "distill": {"unlabelled_ratio": 1.0}}
        return student_run(
            tmp_path / name, list(map(files, train)), list(map(files, dev)), encoder_folder=encoder, **lists, **TUNED
        )

    ours, theirs = run("computed", computed), run("stored", lambda files: files)
    run_training(ours)
    run_training(theirs)
    assert weights(ours) == weights(theirs)


def test_each_text_goes_through_the_frozen_layers_once(encoder, tmp_path, monkeypatch):
    ran: list[int] = []
    whole = Encoder.hidden_states

    def counted(self, ids, mask, taps):
        ran.append(len(ids))
        return whole(self, ids, mask, taps)

    monkeypatch.setattr(Encoder, "hidden_states", counted)
    files = {split: stored(make_corpus(tmp_path, "a", split, 9), encoder) for split in ("train", "dev", "test")}
    once = sum(windows(read_corpus(each.corpus).tokens, encoder) for each in files.values())
    assert sum(ran) == once
    short, text = {**TUNED, "updates": 2, "encoder_folder": encoder}, (files["train"], files["dev"])
    for seed in (0, 1):
        run = teacher_run(tmp_path / f"{seed}", *text, seed=seed, **short)
        run_training(run)
        model = run.outputs.model
        scored = replace(files["train"], scores=tmp_path / f"{seed}.parquet")
        score_corpus(model, files["train"], scored.scores, encoder=encoder)
        score_out_of_fold(model, [model, model], files["train"], tmp_path / "folds.parquet", encoder=encoder)
        out = {"predictions": tmp_path / f"{seed}-p", "metrics": tmp_path / f"{seed}-m"}
        evaluate_model(model, "t", [files["test"]], {"a": "trained"}, own=scored, encoder=encoder, **out)
    run_training(student_run(tmp_path / "s", *([each] for each in text), objective="baseline", **short))
    assert sum(ran) == once


def test_scores_from_stored_states_are_those_of_the_whole_encoder_but_for_rounding(encoder, data, tmp_path):
    run = teacher_run(tmp_path / "t", data["a/train"], encoder_folder=encoder, **TUNED)
    run_training(run)
    for name, files in (("stored", data["a/test"]), ("whole", computed(data["a/test"]))):
        score_corpus(run.outputs.model, files, tmp_path / name, encoder=encoder)
    ours, theirs = (read_scores(tmp_path / name).emissions for name in ("stored", "whole"))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


# ---- refusals


def test_states_of_another_layer_or_encoder_or_text_are_refused(encoder, data, tmp_path):
    given = data["a/test"]

    def refused(files: CorpusFiles, **settings) -> str:
        run = teacher_run(tmp_path, files, encoder_folder=encoder, **{**TUNED, **settings})
        with pytest.raises(MismatchError) as caught:
            run_training(run)
        return str(caught.value)

    assert "taps is [1], needed is [2]" in refused(given, tune_from=2)
    assert "tokens_sha256 is" in refused(replace(given, states=data["a/dev"].states))
    assert "drop_bare_underline is True" in refused(
        given, encoder=TINY.model_copy(update={"drop_bare_underline": False})
    )
    assert "encoder is" in refused(given, encoder=TINY.model_copy(update={"provider": "wheel"}))
    words = tmp_path / "words.safetensors"
    encode({"x": given.corpus}, encoder, EncoderSettings(provider="tiny", tap=LAYER), {"x": words})
    assert "pooling is 'mean', needed is 'none'" in refused(replace(given, states=words))
    with pytest.raises(MismatchError, match="pooling is 'none', needed is 'mean'"):
        read_source(replace(given, features=given.states), LABELS, TINY.model_copy(update={"tap": LAYER}))


def changed(files: CorpusFiles, out: Path, offsets: np.ndarray | None = None, **metadata) -> CorpusFiles:
    """Return the files with a copy of the states in which something else was written."""
    store = FeatureStore.open(files.states)
    known = {name: value for name, value in store.metadata.items() if name not in ("format", "kind")}
    ends = store.offsets.numpy() if offsets is None else offsets
    with writing(out, ends, store.features.shape[1], {**known, **metadata}) as copy:
        copy[:] = store.features.numpy()
    return replace(files, states=out)


def test_states_of_other_weights_or_windows_are_refused(encoder, data, tmp_path):
    given = data["a/test"]
    layers, words = load_tuned(encoder, TINY, LAYER)
    ends = FeatureStore.open(given.states).offsets.numpy().copy()
    ends[1] += 1
    for files, message in (
        (changed(given, tmp_path / "weights", encoder_sha256="0" * 64), "encoder_sha256 is"),
        (changed(given, tmp_path / "windows", ends), "its windows are not those of this text"),
    ):
        source = read_source(files, LABELS, STATES)
        with pytest.raises(MismatchError, match=message):
            PieceInputs.of([source.tokens], words, layers, stored=[source.states])


def test_nothing_is_stored_where_no_layer_is_frozen():
    assert stored_states(TINY, 0) is None
    assert stored_states(TINY.model_copy(update={"freeze_embeddings": False}), 1) is None
    assert stored_states(TINY.model_copy(update={"layers": 2, "pooling": "last", "tap": (1, 2)}), 1) == STATES
