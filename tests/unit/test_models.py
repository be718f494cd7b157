"""Saved models: what comes back is what was saved, and new text is labelled as the workflow labels it."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bioes import is_well_formed
from prediction_files import read_predictions
from safetensors.torch import load_file, save_file
from tiny_runs import LABELS, TINY, encoded, make_corpus, student_run, teacher_run, tiny_encoder

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.data.corpus import read_corpus
from tagdistill.data.label_rows import LabelRows
from tagdistill.data.readers.options import Reading
from tagdistill.distill.dataset import CorpusFiles, make_pool, read_source
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_table import read_scores
from tagdistill.errors import DataError, MismatchError, TagdistillError
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.evaluation.score_file import evaluate_file
from tagdistill.models.finetuned import load_tuned
from tagdistill.models.inference import emissions, tag
from tagdistill.models.load import load_tagger
from tagdistill.models.model import Model, load_model, save_model
from tagdistill.models.tagger import BiLSTM, LockedDropout, TaggerSpec, constrain
from tagdistill.prediction.predict import predict_file
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.training.run_training import run_training

MODES = ("frozen", "finetune")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with the tiny encoder, two corpora and a trained model of each mode below `results/MODE/model`."""
    folder = tmp_path_factory.mktemp("project")
    encoder = tiny_encoder(folder)
    train, test = (encoded(make_corpus(folder, "aa", split, n), encoder) for split, n in (("train", 60), ("test", 30)))
    run_training(teacher_run(folder / "results" / "frozen", train, None, updates=60))
    text = CorpusFiles("aa", train.corpus)
    tuned = {
        "mode": "finetune",
        "head": "linear",
        "tune_from": 1,
        "encoder_folder": encoder,
        "learning_rate_encoder": 3e-3,
    }
    run_training(student_run(folder / "results" / "finetune", [text], objective="baseline", updates=120, **tuned))
    (folder / "test").symlink_to(test.corpus.parent)
    return folder


def model_of(project: Path, mode: str) -> Path:
    return project / "results" / mode / "model"


def test_files(project: Path, mode: str) -> CorpusFiles:
    corpus = project / "test" / "test.parquet"
    return CorpusFiles("aa", corpus, corpus.with_suffix(".tiny.safetensors") if mode == "frozen" else None)


test_files.__test__ = False  # type: ignore[attr-defined]


def spec(**rest) -> TaggerSpec:
    return TaggerSpec(**{"inputs": 6, "labels": LABELS, "decoder": "crf", "head": "bilstm", "hidden": 5, **rest})


def batch_of(lengths: list[int], seed: int = 0, width: int | None = None) -> dict:
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(len(lengths), width or max(lengths), 6, generator=random)
    return {"vectors": vectors, "lengths": torch.tensor(lengths)}


# ---- files


@pytest.mark.parametrize("head", ["bilstm", "mlp", "linear"])
@pytest.mark.parametrize("decoder", ["crf", "softmax"])
def test_a_saved_model_scores_as_before(head, decoder, tmp_path):
    model = Model(spec(head=head, decoder=decoder)).eval()
    model.tagger.standardise_by(torch.arange(6.0), torch.tensor([1.0, 2, 3, 4, 5, 0]))
    torch.nn.init.normal_(model.tagger.transitions)
    save_model(tmp_path / "m", model, {"task": "ner"})
    back, config = load_model(tmp_path / "m")
    ours, theirs = (m(batch_of([3, 1, 4])) for m in (model, back))
    assert torch.equal(ours.emissions, theirs.emissions)
    assert torch.equal(ours.transitions, theirs.transitions)
    assert torch.isfinite(ours.emissions).all()  # a dimension that never varies is not divided by 0
    assert not back.training
    assert (config["kind"], config["format"], config["task"]) == ("tagger", 2, "ner")
    assert {file.name for file in (tmp_path / "m").iterdir()} == {"model.safetensors", "config.json"}


@pytest.mark.parametrize("mode", MODES)
def test_the_config_says_how_the_model_was_trained(mode, project):
    config = read_json(model_of(project, mode) / "config.json")
    frozen = mode == "frozen"
    assert config["labels"] == list(LABELS) == config["spec"]["labels"]
    assert (config["task"], config["decoder"], config["seed"], config["mode"]) == ("ner", "crf", 0, mode)
    assert (config["objective"], config["distill"]) == (None if frozen else "baseline", None)
    assert (config["languages"], config["licences"]) == (["aa"], {"aa": "CC0-1.0"})
    assert config["corpora"] == {"aa": read_corpus(project / "aa" / "train.parquet").sha256}
    assert config["encoder"] == TINY.model_dump(mode="json")
    assert config["training"]["tune_from"] == (4 if frozen else 1)
    assert {"tagdistill", "python", "torch", "transformers"} <= set(config["versions"])
    assert str(project) not in json.dumps(config)


def test_features_of_another_layer_or_encoder_are_refused(project):
    files = test_files(project, "frozen")
    for other in ({"tap": 1}, {"pooling": "first"}, {"provider": "wheel"}):
        settings = EncoderSettings.model_validate({**TINY.model_dump(), **other})
        with pytest.raises(MismatchError, match="needed is"):
            read_source(files, LABELS, encoder=settings)
    assert read_source(files, LABELS, encoder=TINY).vectors is not None


def test_labels_that_are_not_those_of_the_weights_are_refused(project, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_of(project, "frozen"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["spec"]["labels"] = config["spec"]["labels"][::-1]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MismatchError, match="the weights are of the labels"):
        load_tagger(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors")  # without what is written beside them
    with pytest.raises(MismatchError, match=r"the weights are of the labels \(\), config"):
        load_tagger(folder)


def test_vectors_are_standardised():
    model, plain = Model(spec(head="linear")).eval(), Model(spec(head="linear")).eval()
    mean, std = torch.arange(6.0), torch.arange(1.0, 7.0)
    plain.load_state_dict(model.state_dict())
    model.tagger.standardise_by(mean, std)
    batch = batch_of([3, 2])
    expected = plain({**batch, "vectors": (batch["vectors"] - mean) / std})
    torch.testing.assert_close(model(batch).emissions, expected.emissions)


def test_the_frozen_layers_go_where_the_tuned_ones_go(tmp_path):
    layers, _ = load_tuned(tiny_encoder(tmp_path), TINY, 1)
    layers.double()
    encoder = layers.encoder.model
    assert {p.dtype for p in (*layers.parameters(), *encoder.parameters())} == {torch.float64}
    assert len(list(encoder.parameters())) > len(list(layers.parameters())) > 0
    assert not layers.eval().training and not encoder.training
    assert layers.train().training and encoder.training


def test_a_folder_without_a_model_is_named(project, tmp_path):
    with pytest.raises(TagdistillError, match="holds no saved model"):
        load_tagger(tmp_path)
    config = read_json(model_of(project, "frozen") / "config.json")
    write_json(tmp_path / "config.json", {**config, "format": 9})
    with pytest.raises(MismatchError, match=r"config\.json: format is 9, needed is 2"):
        load_tagger(tmp_path)
    write_json(tmp_path / "config.json", config)
    with pytest.raises(TagdistillError, match=r"model\.safetensors: no such file"):
        load_tagger(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"hello, not tensors")
    with pytest.raises(TagdistillError, match=r"model\.safetensors: not readable as weights"):
        load_tagger(tmp_path)


def test_the_encoder_is_found_or_asked_for(project, tmp_path, monkeypatch):
    here = tmp_path / "model"
    here.mkdir()
    for file in model_of(project, "finetune").iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TagdistillError, match="--encoder FOLDER"):
        load_tagger(here)
    monkeypatch.chdir(project)
    assert load_tagger(here).words is not None
    monkeypatch.chdir(tmp_path)
    encoder = next((project / "resources" / "encoders").iterdir())
    assert load_tagger(here, encoder).words is not None
    score_corpus(here, test_files(project, "finetune"), tmp_path / "s.parquet", encoder=encoder)
    with pytest.raises(DataError, match="not a converted encoder"):
        load_tagger(here, tmp_path / "nowhere")


def test_another_encoder_is_refused(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in next((project / "resources" / "encoders").iterdir()).iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    write_json(
        other / "tagdistill.json",
        {**read_json(other / "tagdistill.json"), "provider": "hub", "id": "a/b", "revision": "0"},
    )
    (tmp_path / "x.txt").write_text("a b\n")
    for mode in MODES:
        with pytest.raises(MismatchError, match="the model was trained on 'tiny-random"):
            predict_file(model_of(project, mode), tmp_path / "x.txt", tmp_path / "y", encoder=other)


# ---- scores of sentences


@pytest.mark.parametrize("head", ["bilstm", "mlp", "linear"])
def test_neighbours_and_padding_do_not_change_a_sentence(head):
    model = Model(spec(head=head)).eval()
    batch = batch_of([4, 2, 7, 1], width=9)
    together = model(batch).emissions
    batch["vectors"][:, 7:] = 1e3
    torch.testing.assert_close(model(batch).emissions[:, :7], together[:, :7], rtol=0, atol=1e-5)
    for row, n in enumerate([4, 2, 7, 1]):
        alone = model({"vectors": batch["vectors"][row : row + 1, :n], "lengths": torch.tensor([n])}).emissions[0]
        torch.testing.assert_close(alone, together[row, :n], rtol=0, atol=1e-5)


def test_the_bilstm_is_torch_s_own_over_packed_sentences():
    """Values and gradients, sentences of one word and padding included."""
    torch.manual_seed(0)
    ours, theirs = BiLSTM(6, 5), torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    for one, suffix in ((ours.right, ""), (ours.left, "_reverse")):
        one.load_state_dict({name: theirs.state_dict()[name + suffix] for name in one.state_dict()})
    vectors, lengths = batch_of([4, 2, 7, 1], width=9).values()
    packed = torch.nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
    wanted, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=9)
    found = ours(vectors, lengths) * (torch.arange(9) < lengths[:, None])[..., None]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    weight = torch.randn(wanted.shape)
    for states in (found, wanted):
        (states * weight).sum().backward()
    for one, suffix in ((ours.right, ""), (ours.left, "_reverse")):
        for name, parameter in one.named_parameters():
            torch.testing.assert_close(parameter.grad, getattr(theirs, name + suffix).grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_corpus_is_scored_sentence_by_sentence(mode, project, monkeypatch):
    """One batch for all, or one a sentence: the same emissions, in the order of the corpus."""
    loaded = load_tagger(model_of(project, mode))
    source = read_source(test_files(project, mode), loaded.labels)
    pool = make_pool([source], loaded.model, loaded.words)
    together = emissions(loaded.model, pool.lengths, pool.batch)
    monkeypatch.setattr("tagdistill.models.inference.batches.__defaults__", (1,))
    alone = emissions(loaded.model, pool.lengths, pool.batch)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert together.shape == (source.offsets[-1], len(LABELS))


@pytest.mark.parametrize("mode", MODES)
def test_the_scores_of_a_teacher_are_its_model_s(mode, project, tmp_path):
    files = test_files(project, mode)
    score_corpus(model_of(project, mode), files, tmp_path / "s.parquet")
    scores, loaded = read_scores(tmp_path / "s.parquet"), load_tagger(model_of(project, mode))
    assert scores.ids == read_corpus(files.corpus).ids
    assert scores.metadata["corpus_sha256"] == read_corpus(files.corpus).sha256
    np.testing.assert_array_equal(scores.transitions, loaded.model.tagger.transitions.detach().numpy())
    best = [row.argmax() for row in scores.emissions[:3]]
    assert len(best) == 3
    assert scores.labels == list(LABELS)


def test_dropout_drops_whole_words_and_whole_dimensions():
    torch.manual_seed(0)
    vectors = torch.ones(50, 20, 30)
    dropped = LockedDropout(0.4, 0.3).train()(vectors)
    dims = (dropped != 0).any(1)
    words = (dropped != 0).any(2)
    assert dims.float().mean() == pytest.approx(0.6, abs=0.05)
    assert words.float().mean() == pytest.approx(0.7, abs=0.05)
    assert ((dropped != 0) == (dims[:, None] & words[..., None])).all()
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert torch.equal(LockedDropout(0.4, 0.3).eval()(vectors), vectors)


# ---- decoding


@pytest.mark.parametrize("decoder", ["crf", "softmax"])
def test_constrained_decoding_is_always_well_formed(decoder):
    torch.manual_seed(1)
    model = Model(spec(decoder=decoder)).eval()
    torch.nn.init.normal_(model.tagger.emission.weight, std=30)
    lengths = np.random.default_rng(0).integers(1, 12, 200)
    vectors = torch.randn(200, 12, 6)

    def make(rows: np.ndarray) -> dict:
        return {"vectors": vectors[rows], "lengths": torch.from_numpy(lengths[rows])}

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    found = (tag(model, lengths, make, decode=way) for way in ("unconstrained", "constrained"))
    names = [list(LabelRows(numbers, offsets, LABELS)) for numbers in found]
    assert [len(sentence) for sentence in names[1]] == lengths.tolist()
    assert all(map(is_well_formed, names[1]))
    broken = [sentence for sentence in names[0] if not is_well_formed(sentence)]
    assert len(broken) > 20  # else there was nothing to repair
    kept = [b == f for f, b in zip(*names, strict=True) if is_well_formed(f)]
    assert all(kept)


def test_tags_without_spans_are_not_constrained():
    labels = ("ADJ", "NOUN", "VERB")
    model = Model(spec(labels=labels)).eval()
    chain = model(batch_of([3, 5]))
    assert torch.equal(constrain(chain, labels).argmax, chain.argmax)


# ---- new text


def as_conll(corpus, separator: str) -> str:
    rows = zip(corpus.tokens, corpus.labels, strict=True)
    return "\n".join("".join(f"{t}{separator}{iob2(g)}\n" for t, g in zip(*row, strict=True)) for row in rows)


def iob2(tag: str) -> str:
    return tag.replace("S-", "B-").replace("E-", "I-")


def as_conllu(corpus) -> str:
    blocks = []
    for tokens in corpus.tokens:
        blocks.append("".join(f"{n}\t{t}\t_\tNOUN" + "\t_" * 6 + "\n" for n, t in enumerate(tokens, 1)))
    return "\n".join(blocks) + "\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["txt", "conll", "tsv", "conllu"])
@pytest.mark.parametrize("constrained", [False, True])
def test_new_text_is_labelled_as_the_workflow_labels_it(mode, ending, constrained, project, tmp_path):
    corpus = read_corpus(project / "test" / "test.parquet")
    text = {
        "txt": "".join(" ".join(tokens) + "\n" for tokens in corpus.tokens),
        "conll": as_conll(corpus, " "),
        "tsv": as_conll(corpus, "\t"),
        "conllu": as_conllu(corpus),
    }[ending]
    (tmp_path / f"new.{ending}").write_text(text)
    model = model_of(project, mode)
    predict_file(model, tmp_path / f"new.{ending}", tmp_path / "out.conll", split="blanks", constrained=constrained)
    teacher = mode == "frozen"  # the fine-tuned model is a student
    score_corpus(model, test_files(project, mode), tmp_path / "scores.parquet")
    evaluate_model(
        model,
        "teachers/aa/crf/seed-0",
        [test_files(project, mode)],
        {"aa": "trained"},
        predictions=tmp_path / "p",
        metrics=tmp_path / "m",
        own=replace(test_files(project, mode), scores=tmp_path / "scores.parquet") if teacher else None,
        decode="constrained" if constrained else "unconstrained",
    )
    tokens, gold, predicted = read_predictions(tmp_path / "p" / "aa.conll")
    assert (tokens, gold) == (corpus.tokens, corpus.labels)
    assert read_predictions(tmp_path / "out.conll") == (tokens, None, predicted)
    record = read_json(tmp_path / "m" / "aa.json")
    assert record["f1"] > 30  # something was learned: the comparison is not of one label everywhere
    assert ("calibration" in record) == teacher
    if teacher:
        assert record["calibration"]["test"] == pytest.approx(record["calibration"]["train"], rel=1e-4)
    if ending == "conll":
        scores = json.loads(evaluate_file(model, tmp_path / "new.conll", constrained=constrained))
        assert scores["f1"] == pytest.approx(record["f1"]) and scores["decode"] == record["decode"]
        for name, found in record["further"].items():
            assert scores["further"][name]["f1"] == pytest.approx(found["f1"]), name
        assert "per_label" in scores and "sentence_counts" not in scores  # for people


def test_white_space_in_a_token_is_escaped(project, tmp_path):
    (tmp_path / "x.conllu").write_text("1\t10 000\t_\tNUM" + "\t_" * 6 + "\n2\to\t_\tNOUN" + "\t_" * 6 + "\n\n")
    predict_file(model_of(project, "frozen"), tmp_path / "x.conllu", tmp_path / "y")
    lines = (tmp_path / "y").read_text().split("\n")
    assert [line.partition("\t")[0] for line in lines] == ["10\\u0020000", "o", ""]


@pytest.mark.parametrize("mode", MODES)
def test_empty_lines_odd_characters_and_long_sentences(mode, project, tmp_path):
    long = " ".join(["word"] * 300)
    (tmp_path / "x.txt").write_text(f"\n\none two\n\n  \n日本語 ​ हिन्दी\n{long}\n")
    predict_file(model_of(project, mode), tmp_path / "x.txt", tmp_path / "y", split="blanks")
    tokens, _, labels = read_predictions(tmp_path / "y")
    assert list(map(len, tokens)) == list(map(len, labels)) == [2, 3, 300]


def test_what_cannot_be_read_is_said(project, tmp_path):
    model = model_of(project, "frozen")
    for name, text, message in (
        ("x.docx", "a", r"the ending '\.docx' does not tell the format\n  Say it with --format"),
        ("empty.conll", "", "no sentence in this file"),
        ("blank.conll", "\n\n", "no sentence in this file"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=message):
            predict_file(model, tmp_path / name, tmp_path / "y")
    with pytest.raises(DataError, match="no such file"):
        predict_file(model, tmp_path / "none.txt", tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_scoring_a_file_without_a_span_says_what_f1_is(project, tmp_path, caplog):
    file = tmp_path / "x.conll"
    file.write_text("a O\nb O\n")
    assert json.loads(evaluate_file(model_of(project, "frozen"), file))["f1"] == 0
    said = f"warning: {file}: no span in it: F1 is 0 whatever a model predicts"
    assert said in caplog.messages
    caplog.clear()
    file.write_text("a O\nb B-PER\n")
    evaluate_file(model_of(project, "frozen"), file)
    assert said not in caplog.messages


def test_scoring_a_file_says_what_does_not_fit(project, tmp_path):
    model, file = model_of(project, "frozen"), tmp_path / "x.conll"
    file.write_text("a O\nb X-PER\n")
    with pytest.raises(DataError, match=r"x\.conll:2: tag 'X-PER' is not IOB2"):
        evaluate_file(model, file)
    file.write_text("a O\nb B-MISC\n")
    with pytest.raises(DataError, match=r"x\.conll:2: label 'MISC' is not in the model's label list"):
        evaluate_file(model, file)
    with pytest.raises(TagdistillError, match="scheme"):
        evaluate_file(model, file, Reading(scheme="IOB9"))
    with pytest.raises(TagdistillError, match="`--format conllu` is labelled for the task 'pos', not 'ner'"):
        evaluate_file(model, file, Reading(kind="conllu"))
    file.write_text("a O\nb B-PERSON\nc B-LOC\n")
    with pytest.raises(DataError) as caught:
        evaluate_file(model, file)
    hint = (
        "Did you mean 'PER'? Known: LOC, PER.\n  Found in this file: LOC, PERSON. Rename it: `--label-map PERSON=...`"
    )
    assert str(caught.value).endswith(
        f'  {hint}, where spans may also become O, and all others at once with `--label-map "*"=O`.'
    )
    (tmp_path / "x.txt").write_text("a b\n")
    with pytest.raises(DataError, match=r"x\.txt: plain text has no labels to compare with\n  A labelled file has"):
        evaluate_file(model, tmp_path / "x.txt")


def test_scoring_a_file_says_what_is_odd_in_it(project, tmp_path, caplog):
    file = tmp_path / "x.conll"
    file.write_text("skipped\n" + "a O\n" * 1001)
    with caplog.at_level(logging.INFO):
        evaluate_file(model_of(project, "frozen"), file, Reading(skip_lines=1))
    for said in ("1 of more than 1,000 words", "no span", "lines skipped"):
        assert said in caplog.text


def test_other_formats_are_labelled_and_scored_as_columns_are(project, tmp_path):
    corpus, model = read_corpus(project / "test" / "test.parquet"), model_of(project, "frozen")
    (tmp_path / "x.conll").write_text(as_conll(corpus, "\t"))
    lines = as_conll(corpus, "\t").split("\n")
    (tmp_path / "x.wiki").write_text("\n".join(f"aa:{line}" if line else "" for line in lines))
    wanted = evaluate_file(model, tmp_path / "x.conll")
    assert evaluate_file(model, tmp_path / "x.wiki", Reading("wikiann")) == wanted
    assert evaluate_file(model, project / "test" / "test.parquet", Reading(scheme="BIOES")) == wanted
    predict_file(model, project / "test" / "test.parquet", tmp_path / "y", Reading(columns="token=tokens"))
    assert read_predictions(tmp_path / "y")[0] == corpus.tokens


def test_the_folder_around_a_model_names_the_one_that_is_meant(project, tmp_path):
    (tmp_path / "x.txt").write_text("a b\n")
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "model").symlink_to(model_of(project, "frozen"))
    with pytest.raises(TagdistillError, match=r"holds no model: .*\n  Give .*/seed-0/model\."):
        predict_file(tmp_path / "seed-0", tmp_path / "x.txt", tmp_path / "y")
    with pytest.raises(TagdistillError, match=r"holds no model: neither tagger\.json nor config\.json"):
        predict_file(tmp_path, tmp_path / "x.txt", tmp_path / "y")


def test_a_file_of_other_columns_and_names_is_scored_and_labelled_as_a_plain_one(project, tmp_path, caplog):
    corpus, model = read_corpus(project / "test" / "test.parquet"), model_of(project, "frozen")
    (tmp_path / "plain.conll").write_text(as_conll(corpus, " "))
    lines = ["# from elsewhere"]
    for number, line in enumerate(as_conll(corpus, "\t").replace("-PER", "-PERSON").split("\n"), 1):
        lines.append("\t".join([str(number), *line.split("\t"), "_"]) if line else "")
    (tmp_path / "other.conll").write_text("\n".join(lines) + "\n")
    reading = Reading(columns="token=1,tag=2", comment="#", label_map="PERSON=PER")
    other = evaluate_file(model, tmp_path / "other.conll", reading)
    assert json.loads(other)["f1"] > 30 and other == evaluate_file(model, tmp_path / "plain.conll")
    predict_file(model, tmp_path / "other.conll", tmp_path / "y", Reading(columns="token=1", comment="#"))
    assert read_predictions(tmp_path / "y")[0] == corpus.tokens
    assert "numbers" not in caplog.text
    predict_file(model, tmp_path / "other.conll", tmp_path / "y", Reading(comment="#"))
    assert "other.conll: nearly all words are numbers (1 2 3" in caplog.text
    assert "`--columns token=1,tag=-1`" in caplog.text
    caplog.clear()
    evaluate_file(
        model, tmp_path / "other.conll", Reading(columns="token=0,tag=2", comment="#", label_map="PERSON=PER")
    )
    assert "nearly all words are numbers" in caplog.text


def test_a_model_refuses_a_corpus_of_other_labels(project, tmp_path):
    loaded = load_tagger(model_of(project, "frozen"))
    with pytest.raises(MismatchError, match="labels is"):
        read_source(test_files(project, "frozen"), loaded.labels[::-1])
    other = replace(test_files(project, "frozen"), corpus=project / "aa" / "train.parquet")
    with pytest.raises(MismatchError, match="tokens_sha256"):
        read_source(other, loaded.labels)
