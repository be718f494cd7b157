"""What the stages compute, against slow twins: numpy in float64, with every label sequence listed.

The taggers have a linear head, so that their emissions are one product, and the sentences at most three words.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prediction_files import read_predictions
from safetensors.numpy import load_file
from tiny_runs import LABELS, TYPES, WORDS, files_of, make_corpus, student_run, teacher_run, vector_of, with_targets

from tagdistill.artifacts.files import read_json
from tagdistill.data.corpus import Corpus, read_corpus, write_corpus
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.target_table import read_targets
from tagdistill.distill.teacher_values import TeacherValues
from tagdistill.errors import DataError, MismatchError
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.models.model import Model
from tagdistill.models.tagger import Tagger, TaggerSpec
from tagdistill.settings.training import TeacherSettings
from tagdistill.training.assemble import assemble
from tagdistill.training.optimizer import make_optimizer
from tagdistill.training.run import Run
from tagdistill.training.run_training import run_training

DECODINGS = ("unconstrained", "constrained")
LINEAR = {"head": "linear", "dropout": 0.0}
Array = NDArray[np.float64]


def short_corpus(folder: Path, language: str, split: str, count: int) -> CorpusFiles:
    """Write a corpus of sentences of one to three words, whose labels are those of the words in two of three cases."""
    rng = np.random.default_rng(sum(map(ord, language + split)))
    tokens, labels = [], []
    for _ in range(count):
        tags = [str(tag) for tag in rng.choice(LABELS, rng.integers(1, 4))]
        tokens.append([f"{tag.lower()}{rng.integers(WORDS)}" for tag in tags])
        labels.append([tag if rng.random() < 2 / 3 else str(rng.choice(LABELS)) for tag in tags])
    path = folder / language / f"{split}.parquet"
    ids = [f"{split}-{number:06}" for number in range(1, count + 1)]
    record = {"language": language, "split": split, "task": "ner", "labels": list(LABELS)}
    write_corpus(path, ids=ids, tokens=tokens, labels=labels, metadata=record)
    return files_of(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, CorpusFiles]:
    folder = tmp_path_factory.mktemp("corpora")
    sizes = {"train": 40, "dev": 30, "test": 25}
    return {f"{x}/{split}": short_corpus(folder, x, split, n) for x in ("aa", "bb") for split, n in sizes.items()}


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory) -> Run:
    run = teacher_run(tmp_path_factory.mktemp("teacher"), data["aa/train"], updates=12, **LINEAR)
    run_training(run)
    return run


# ---- the twin of a tagger


@dataclass
class Twin:
    """A linear tagger from its weights."""

    weights: dict[str, Array]

    @classmethod
    def saved(cls, run: Run) -> Twin:
        weights = load_file(run.outputs.model / "model.safetensors")
        return cls({name.removeprefix("tagger."): array.astype(float) for name, array in weights.items()})

    def emissions(self, sentence: Sequence[str]) -> Array:
        w = self.weights
        vectors = np.stack([vector_of(word) for word in sentence]).astype(float)
        return (vectors - w["mean"]) / w["std"] @ w["emission.weight"].T + w["emission.bias"]

    def paths(self, sentence: Sequence[str]) -> tuple[list[tuple[int, ...]], Array]:
        """Return every label sequence and its log-probability."""
        w, emissions = self.weights, self.emissions(sentence)
        found = list(itertools.product(range(len(LABELS)), repeat=len(sentence)))
        scores = np.array(
            [
                w["start"][path[0]]
                + w["end"][path[-1]]
                + sum(emissions[place, label] for place, label in enumerate(path))
                + sum(w["transitions"][pair] for pair in itertools.pairwise(path))
                for path in found
            ]
        )
        return found, scores - np.logaddexp.reduce(scores)

    def marginals(self, sentence: Sequence[str]) -> Array:
        found, log_prob = self.paths(sentence)
        marginals = np.zeros((len(sentence), len(LABELS)))
        for path, value in zip(found, log_prob, strict=True):
            marginals[range(len(path)), path] += np.exp(value)
        return marginals

    def best(self, sentence: Sequence[str], *, constrained: bool = False) -> list[str]:
        found, log_prob = self.paths(sentence)
        allowed = [well_formed([LABELS[x] for x in path]) if constrained else True for path in found]
        return [LABELS[x] for x in found[int(np.where(allowed, log_prob, -np.inf).argmax())]]


def spans(labels: Sequence[str]) -> set[tuple[int, int, str]]:
    """Return the well-formed spans of a sentence, by trying every start, end and type."""
    found = set()
    for kind in TYPES:
        for start, end in itertools.combinations(range(len(labels) + 1), 2):
            inner = ["S"] if end - start == 1 else ["B", *"I" * (end - start - 2), "E"]
            if list(labels[start:end]) == [f"{prefix}-{kind}" for prefix in inner]:
                found.add((start, end, kind))
    return found


def well_formed(labels: Sequence[str]) -> bool:
    return sum(end - start for start, end, _ in spans(labels)) == sum(label != "O" for label in labels)


def f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    pairs = [(spans(g), spans(p)) for g, p in zip(gold, predicted, strict=True)]
    right, both = sum(len(g & p) for g, p in pairs), sum(len(g) + len(p) for g, p in pairs)
    return 200 * right / both


def corpus(files: CorpusFiles) -> Corpus:
    return read_corpus(files.corpus)


def log_of(run: Run, key: str) -> list[dict]:
    return [line for line in map(json.loads, run.outputs.log.read_text().splitlines()) if key in line]


# ---- scores


def test_the_scores_of_a_teacher_are_its_weights_and_what_they_make_of_a_text(teacher, data, tmp_path):
    score_corpus(teacher.outputs.model, data["aa/dev"], tmp_path / "scores.parquet")
    scores, twin = read_scores(tmp_path / "scores.parquet"), Twin.saved(teacher)
    assert np.abs(twin.weights["start"] - twin.weights["end"]).max() > 1e-3
    assert np.abs(twin.weights["transitions"] - twin.weights["transitions"].T).max() > 1e-3
    for name in ("start", "end", "transitions"):
        np.testing.assert_array_equal(getattr(scores, name), twin.weights[name])
    emissions = np.concatenate([twin.emissions(sentence) for sentence in corpus(data["aa/dev"]).tokens])
    np.testing.assert_allclose(scores.emissions, emissions, rtol=1e-4, atol=1e-4)


# ---- the loss


@pytest.mark.parametrize("loss_per", ["sentence", "word"])
@pytest.mark.parametrize("temperature", [1.0, 2.25])
def test_the_loss_of_an_update_is_that_of_its_definition(loss_per, temperature, teacher, data, tmp_path):
    taught = with_targets(teacher.outputs.model, data["aa/train"], tmp_path)
    own = {"name": "hot", "loss": "posterior", "temperature": temperature, "anneal": {"from": 0.25, "to": 0.25}}
    rest = {"objective": "hot", "distill": {"objectives": ["posterior", own]}, "loss_per": loss_per, **LINEAR}
    run = student_run(tmp_path, [taught], updates=1, batch_words=9999, **rest)
    torch.manual_seed(run.seed)
    state = assemble(run).model.tagger.state_dict()
    twin = Twin({name: tensor.double().numpy() for name, tensor in state.items()})
    run_training(run)
    [logged] = log_of(run, "loss")
    text, targets = corpus(taught), read_targets(taught.targets)
    gold, soft = [], []
    for number, (sentence, labels) in enumerate(zip(text.tokens, text.labels, strict=True)):
        found, log_prob = twin.paths(sentence)
        gold.append(-log_prob[found.index(tuple(LABELS.index(label) for label in labels))])
        rows = targets.log_posterior[targets.offsets[number] : targets.offsets[number + 1]].astype(float)
        p, q = tempered(rows, temperature), tempered(np.log(twin.marginals(sentence)), temperature)
        soft.append(-(temperature**2) * (p * np.log(q)).sum())
    parts = len(gold) if loss_per == "sentence" else sum(map(len, text.tokens))
    assert [logged[name] * parts for name in ("gold", "teacher")] == pytest.approx([sum(gold), sum(soft)], rel=1e-4)
    assert logged["loss"] * parts == pytest.approx(0.25 * sum(soft) + 0.75 * sum(gold), rel=1e-4)


def tempered(log_prob: Array, temperature: float) -> Array:
    weights = np.exp(log_prob / temperature)
    return weights / weights.sum(-1, keepdims=True)


def test_pseudo_labels_teach_on_text_without_labels_and_gold_where_there_is_some(teacher, data, tmp_path):
    taught, more = (with_targets(teacher.outputs.model, data[f"aa/{split}"], tmp_path) for split in ("train", "dev"))
    once = {"updates": 2, "batch_words": 9999, **LINEAR}
    run = student_run(tmp_path, [taught], unlabelled=[more], objective="pseudo_labels", **once)
    parts = assemble(run)
    assert [(update.labelled, update.teacher_weight) for update in parts.updates.plan] == [(True, 0.0), (False, 1.0)]
    twin = Twin({name: tensor.double().numpy() for name, tensor in parts.model.tagger.state_dict().items()})
    twin_of_teacher = Twin.saved(teacher)
    expected = [
        -log_prob[found.index(tuple(LABELS.index(label) for label in twin_of_teacher.best(sentence)))]
        for sentence in corpus(more).tokens
        for found, log_prob in [twin.paths(sentence)]
    ]
    batch = parts.updates[1]
    losses = parts.loss(parts.model(batch), TeacherValues(**batch["teacher"]), 1.0)
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-4)


# ---- dev


@pytest.mark.parametrize("decode", DECODINGS)
def test_dev_scores_are_those_of_the_whole_model_decoded_as_test_is(decode, data, tmp_path):
    dev = [data["aa/dev"], data["bb/dev"]]
    settings = {"head": "linear", "dropout": 0.6, "updates": 8, "evaluations": 1, "select": "last", "decode": decode}
    run = student_run(tmp_path, [data["aa/train"]], dev, objective="baseline", learning_rate=0.1, **settings)
    run_training(run)
    twin, gold, predicted = Twin.saved(run), {}, {}
    for files in dev:
        text = corpus(files)
        gold[files.language] = list(text.labels)
        predicted[files.language] = [twin.best(x, constrained=decode == "constrained") for x in text.tokens]
    each = {language: f1(gold[language], predicted[language]) for language in gold}
    pooled = f1(gold["aa"] + gold["bb"], predicted["aa"] + predicted["bb"])
    [logged] = [line["dev"] for line in log_of(run, "dev")]
    assert logged == pytest.approx({**each, "macro": sum(each.values()) / 2, "pooled": pooled})
    assert read_json(run.outputs.summary)["dev_scores"] == logged
    assert len({round(value, 3) for value in logged.values()}) == 4
    ill_formed = sum(not well_formed(labels) for sentences in predicted.values() for labels in sentences)
    assert bool(ill_formed) == (decode == "unconstrained")
    assert read_json(run.outputs.model / "config.json")["decode"] == decode


# ---- dropout and weight decay


@pytest.mark.parametrize("head", ["mlp", "bilstm"])
def test_dropout_comes_before_the_head_and_after_it(head):
    torch.manual_seed(0)
    spec = TaggerSpec(inputs=8, labels=tuple(LABELS), decoder="crf", head=head, hidden=6, dropout=0.5)
    tagger, vectors, lengths = Tagger(spec), torch.randn(3, 4, 8), torch.tensor([4, 2, 3])
    torch.manual_seed(1)
    found = tagger.train().emissions(vectors, lengths)
    torch.manual_seed(1)
    states = vectors * (torch.rand(3, 1, 8) >= 0.5) / 0.5  # one mask for all words of a sentence
    states = tagger.mlp(states) if head == "mlp" else tagger.bilstm(states, lengths)
    states = states * (torch.rand(3, 1, states.shape[-1]) >= 0.5) / 0.5
    expected = states @ tagger.emission.weight.T + tagger.emission.bias
    for row, n in enumerate(lengths):
        torch.testing.assert_close(found[row, :n], expected[row, :n])


def test_weights_decay_and_transitions_do_not():
    model = Model(TaggerSpec(inputs=4, labels=tuple(LABELS), decoder="crf", head="mlp", hidden=3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
            parameter.grad = torch.zeros_like(parameter)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    rates = {"learning_rate": 0.1, "learning_rate_transitions": 0.2, "weight_decay": 0.5}
    settings = TeacherSettings(updates=1, **rates)
    make_optimizer(model, settings).step()
    for name, parameter in model.named_parameters():
        chain = name in ("tagger.transitions", "tagger.start", "tagger.end")
        torch.testing.assert_close(parameter.detach(), before[name] * (1.0 if chain else 1 - 0.1 * 0.5), msg=name)


# ---- certainty


def certainty(twin: Twin, text: Corpus) -> dict[str, float]:
    right, highest, entropy, words = 0, 0.0, 0.0, 0
    for sentence, labels in zip(text.tokens, text.labels, strict=True):
        _, log_prob = twin.paths(sentence)
        right += sum(ours == gold for ours, gold in zip(twin.best(sentence), labels, strict=True))
        highest += twin.marginals(sentence).max(1).sum()
        entropy -= (np.exp(log_prob) * log_prob).sum()
        words += len(sentence)
    return {"accuracy": 100 * right / words, "confidence": 100 * highest / words, "entropy": entropy / words}


@pytest.fixture
def own(teacher, data, tmp_path) -> CorpusFiles:
    """The training text of the teacher with its scores: nothing else is there to be read."""
    score_corpus(teacher.outputs.model, data["aa/train"], tmp_path / "own.parquet")
    return CorpusFiles("aa", data["aa/train"].corpus, scores=tmp_path / "own.parquet")


@pytest.mark.parametrize("decode", DECODINGS)
def test_the_certainty_of_a_teacher_is_that_of_its_scores_and_of_the_one_pass_over_test(
    decode, teacher, own, data, tmp_path, monkeypatch
):
    seen: list[int] = []
    forward = Model.forward

    def count(self, batch):
        seen.append(len(batch["lengths"]))
        return forward(self, batch)

    monkeypatch.setattr(Model, "forward", count)
    tests, roles = [data["aa/test"], data["bb/test"]], {"aa": "trained", "bb": "zero_shot"}
    places = {"predictions": tmp_path / "p", "metrics": tmp_path / "m"}
    evaluate_model(teacher.outputs.model, "teachers/aa/crf/seed-0", tests, roles, own=own, decode=decode, **places)
    assert sum(seen) == sum(len(corpus(files).tokens) for files in tests)
    twin = Twin.saved(teacher)
    calibration = read_json(tmp_path / "m" / "aa.json")["calibration"]
    for text, files in (("train", own), ("test", data["aa/test"])):
        assert calibration[text] == pytest.approx(certainty(twin, corpus(files)), rel=1e-4), text
    assert calibration["train"]["accuracy"] != pytest.approx(calibration["test"]["accuracy"])
    assert "calibration" not in read_json(tmp_path / "m" / "bb.json")
    _, _, predicted = read_predictions(tmp_path / "p" / "aa.conll")
    text = corpus(data["aa/test"])
    found = {way: [twin.best(x, constrained=way == "constrained") for x in text.tokens] for way in DECODINGS}
    assert predicted == found.pop(decode)
    record = read_json(tmp_path / "m" / "aa.json")
    assert (record["model"], record["language"], record["role"]) == ("teachers/aa/crf/seed-0", "aa", "trained")
    assert read_json(tmp_path / "m" / "bb.json")["role"] == "zero_shot"
    assert (record["decode"], record["f1"]) == (decode, pytest.approx(f1(text.labels, predicted), abs=1e-5))
    [(other, labels)] = found.items()
    assert record["further"][other]["f1"] == pytest.approx(f1(text.labels, labels), abs=1e-5)
    free = predicted if decode == "unconstrained" else labels
    assert record["further"]["conlleval"]["ill_formed"] == sum(not well_formed(x) for x in free) > 0


def test_a_teacher_without_scores_of_its_text_has_its_certainty_on_test(teacher, data, tmp_path):
    places = {"predictions": tmp_path / "p", "metrics": tmp_path / "m"}
    evaluate_model(teacher.outputs.model, "teachers/aa/crf/seed-1", [data["aa/test"]], {"aa": "trained"}, **places)
    assert set(read_json(tmp_path / "m" / "aa.json")["calibration"]) == {"test"}
    assert "decode" not in read_json(teacher.outputs.model / "config.json")  # it has no dev set


@pytest.mark.parametrize("taught", [("aa", "bb"), ("bb", "aa")])
def test_a_teacher_of_several_languages_has_its_name_and_its_certainty_in_all_of_them(taught, data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], updates=3, **LINEAR)
    run_training(replace(run, train=[data[f"{language}/train"] for language in taught]))
    tests = [data["aa/test"], data["bb/test"], short_corpus(tmp_path, "cc", "test", 5)]
    roles = {"aa": "trained", "bb": "trained", "cc": "zero_shot"}
    places = {"predictions": tmp_path / "p", "metrics": tmp_path / "m"}
    evaluate_model(run.outputs.model, "teachers/all/crf/seed-0", tests, roles, **places)
    records = {language: read_json(tmp_path / "m" / f"{language}.json") for language in roles}
    assert {record["teacher"] for record in records.values()} == {"all"}
    assert [x for x, record in records.items() if "calibration" in record] == ["aa", "bb"]
    twin = Twin.saved(run)
    for language in taught:
        found = records[language]["calibration"]
        assert found == {"test": pytest.approx(certainty(twin, corpus(data[f"{language}/test"])), rel=1e-4)}


def test_scores_of_another_teacher_or_text_are_refused(teacher, own, data, tmp_path):
    places = {"predictions": tmp_path / "p", "metrics": tmp_path / "m"}
    model, tests = (teacher.outputs.model, "teachers/aa/crf/seed-0"), ([data["aa/test"]], {"aa": "trained"})
    other = teacher_run(tmp_path / "other", data["aa/train"], updates=1, seed=5, **LINEAR)
    run_training(other)
    score_corpus(other.outputs.model, data["aa/train"], tmp_path / "other.parquet")
    with pytest.raises(MismatchError, match="teacher_sha256"):
        evaluate_model(*model, *tests, own=replace(own, scores=tmp_path / "other.parquet"), **places)
    with pytest.raises(MismatchError, match="corpus_sha256"):
        evaluate_model(*model, *tests, own=replace(own, corpus=data["aa/dev"].corpus), **places)
    with pytest.raises(DataError, match=r"train\.parquet: labels and scores of a teacher's training text"):
        evaluate_model(*model, *tests, own=replace(own, scores=None), **places)
    assert not (tmp_path / "m").exists()


def test_a_test_set_without_labels_is_refused(teacher, tmp_path):
    files = files_of(make_corpus(tmp_path, "aa", "test", 3, labelled=False))
    with pytest.raises(DataError, match="the test set has no labels") as caught:
        evaluate_model(
            teacher.outputs.model, "t", [files], {"aa": "trained"}, predictions=tmp_path / "p", metrics=tmp_path / "m"
        )
    assert caught.value.where == str(files.corpus)
    assert not (tmp_path / "p").exists() and not (tmp_path / "m").exists()
