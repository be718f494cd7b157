"""Scores and files of predictions."""

import itertools
import json
import random
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_files import read_predictions, unescape

from tagdistill.artifacts.files import write_json
from tagdistill.data.labels import from_spans, runs, spans, well_formed
from tagdistill.data.span_counts import f1, sentence_counts
from tagdistill.errors import DataError, MismatchError
from tagdistill.evaluation.metric import MetricResult
from tagdistill.evaluation.metrics import load_metric, score, span_f1
from tagdistill.evaluation.metrics_file import metrics_record, read_counts
from tagdistill.evaluation.predictions import escape, write_predictions
from tagdistill.settings.metrics import FOLDER, METRICS
from tagdistill.settings.names import names_in

NER = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES"))


def random_sentences(seed: int, number: int, labels=NER, longest: int = 9) -> list[list[str]]:
    draw = random.Random(seed)
    return [[draw.choice(labels) for _ in range(draw.randint(1, longest))] for _ in range(number)]


def noisy(sentences: list[list[str]], seed: int, labels=NER) -> list[list[str]]:
    draw = random.Random(seed)
    return [[label if draw.random() < 0.8 else draw.choice(labels) for label in s] for s in sentences]


def test_spans_of_whole_and_broken_sequences():
    assert spans(["S-PER", "O", "B-LOC", "I-LOC", "E-LOC"]) == [("PER", 0, 1), ("LOC", 2, 5)]
    for broken in (["B-PER", "I-PER"], ["I-PER", "E-PER"], ["B-PER", "E-LOC"], ["B-PER", "O", "E-PER"], ["E-PER"]):
        assert spans(broken) == [], broken
    assert spans(["B-PER", "B-PER", "E-PER", "E-PER"]) == [("PER", 1, 3)]
    assert spans(["B-PER", "S-PER", "E-PER"]) == [("PER", 1, 2)]
    assert spans(["B-a-b", "E-a-b"]) == [("a-b", 0, 2)]


def test_spans_equal_seqeval_on_every_sequence_up_to_five_labels():
    from seqeval.scheme import IOBES, Tokens

    labels = ("O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y")
    for length in range(1, 6):
        for sequence in itertools.product(labels, repeat=length):
            theirs = [(e.tag, e.start, e.end) for e in Tokens(list(sequence), IOBES).entities]
            assert spans(sequence) == theirs, sequence


def test_the_lenient_reading_equals_conllevals_on_every_sequence_up_to_five_labels():
    from seqeval.metrics.sequence_labeling import get_entities  # a translation of conlleval.pl

    labels = ("O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y")
    for length in range(1, 6):
        for sequence in itertools.product(labels, repeat=length):
            theirs = [(kind, start, last + 1) for kind, start, last in get_entities(list(sequence))]
            assert list(runs(sequence)) == theirs, sequence
            assert not well_formed(sequence) or spans(sequence) == theirs, sequence


@pytest.mark.parametrize("seed", range(3))
def test_every_decoding_is_scored_and_the_lenient_reading_is_of_the_unconstrained_one(seed):
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOBES

    gold = [from_spans(spans(labels), len(labels)) for labels in random_sentences(seed, 200)]
    free = noisy(gold, seed + 100)
    bound = [from_spans(spans(labels), len(labels)) for labels in noisy(gold, seed + 200)]
    strict = {"mode": "strict", "scheme": IOBES}
    main = score("ner", gold, bound, NER, beside={"unconstrained": free})
    assert main["f1"] == pytest.approx(100 * f1_score(gold, bound, **strict), abs=1e-5)
    assert set(main["further"]) == {"unconstrained", "conlleval"}
    assert main["further"]["unconstrained"]["f1"] == pytest.approx(100 * f1_score(gold, free, **strict), abs=1e-5)
    lenient = main["further"]["conlleval"]
    for name, theirs in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert lenient[name] == pytest.approx(100 * theirs(gold, free), abs=1e-5)  # its default: conlleval's reading
    assert (lenient["scorer"], lenient["scheme"]) == ("conlleval", "lenient")
    assert lenient["ill_formed"] == sum(from_spans(spans(x), len(x)) != x for x in free) > 0
    turned = score("ner", gold, free, NER, beside={"constrained": bound})
    assert turned["f1"] == main["further"]["unconstrained"]["f1"]
    assert turned["further"]["constrained"]["f1"] == main["f1"]
    assert turned["further"]["conlleval"] == lenient
    assert len({main["f1"], turned["f1"], lenient["f1"]}) == 3


@pytest.mark.parametrize("seed", range(5))
def test_span_scores_equal_an_independent_count_on_broken_sequences(seed):
    gold = random_sentences(seed, 300)
    predicted = noisy(gold, seed + 100)
    result = score("ner", gold, predicted, NER)
    true = {(n, *s) for n, sentence in enumerate(gold) for s in spans(sentence)}
    ours = {(n, *s) for n, sentence in enumerate(predicted) for s in spans(sentence)}
    assert result["precision"] == pytest.approx(100 * len(true & ours) / len(ours), abs=1e-5)
    assert result["recall"] == pytest.approx(100 * len(true & ours) / len(true), abs=1e-5)
    assert result["f1"] == pytest.approx(200 * len(true & ours) / (len(ours) + len(true)), abs=1e-5)
    assert result["support"] == len(true) == sum(row["support"] for row in result["per_label"].values())
    assert f1(read_counts(result, where="").sum(axis=0)) == pytest.approx(result["f1"], abs=1e-5)


def test_span_scores_by_hand():
    gold = [["S-PER", "O", "B-LOC", "E-LOC"], ["O", "S-LOC"]]
    predicted = [["S-PER", "O", "B-LOC", "I-LOC"], ["S-PER", "S-LOC"]]
    result = score("ner", gold, predicted, NER)
    assert (result["precision"], result["recall"], result["f1"]) == pytest.approx((200 / 3, 200 / 3, 200 / 3), abs=1e-5)
    assert result["per_label"]["LOC"] == pytest.approx(
        {"precision": 100, "recall": 50, "f1": 200 / 3, "support": 2}, abs=1e-5
    )
    assert (result["score"], result["scorer"], result["scheme"]) == ("f1", "seqeval strict", "IOBES")
    assert result["sentence_counts"] == {"correct": "1 1", "predicted": "1 2", "gold": "2 1"}


def test_accuracy_by_hand():
    result = score("pos", [["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]], ("NOUN", "VERB", "ADJ"))
    assert "further" not in result
    assert result["accuracy"] == pytest.approx(200 / 3, abs=1e-5)
    assert result["per_label"] == {"NOUN": {"accuracy": 100.0, "support": 2}, "VERB": {"accuracy": 0.0, "support": 1}}
    assert f1(read_counts(result, where="").sum(axis=0)) == pytest.approx(200 / 3)
    assert (result["words"], result["sentences"], result["score"]) == (3, 2, "accuracy")


def test_nothing_to_find_scores_zero_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = score("ner", [["O", "O"]], [["O", "O"]], NER)
        missed = score("ner", [["S-PER"]], [["O"]], NER)
    assert nothing["f1"] == nothing["support"] == 0
    assert nothing["per_label"] == {} and missed["recall"] == 0 and missed["per_label"]["PER"]["support"] == 1


def test_every_metric_is_of_a_task():
    """A module that no task names would never be run."""
    assert set(names_in(FOLDER)) == {name for names in METRICS.values() for name in names}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in METRICS.items() for name in names])
def test_every_metric_is_per_cent_with_support(task, name):
    labels = ("NOUN", "VERB") if task == "pos" else NER
    gold = random_sentences(1, 50, labels)
    same, other = load_metric(name)(gold, gold), load_metric(name)(gold, noisy(gold, 2, labels))
    for result in (same, other):
        assert result.score in result.values and result.support > 0 and result.per_label
        for row in (result.values, *result.per_label.values()):
            assert all(isinstance(row[value], float) and 0 <= row[value] <= 100 for value in result.values)
    assert same.values[same.score] == 100 > other.values[other.score]
    assert load_metric(name)([[labels[0]]], [[labels[1]]]).values[same.score] == 0


def test_a_further_metric_stands_beside_the_main_one(monkeypatch):
    def words(gold, predicted):
        return MetricResult("length", "counting", "none", {"length": 50.0}, len(gold), {}, {"note": len(predicted)})

    monkeypatch.setitem(METRICS, "pos", ("accuracy", "words"))
    monkeypatch.setattr(
        "tagdistill.evaluation.metrics.load_metric", lambda name: words if name == "words" else load_metric(name)
    )
    result = score("pos", [["NOUN"]], [["NOUN"]], ("NOUN",))
    assert (result["score"], result["accuracy"]) == ("accuracy", 100.0)
    assert result["further"]["words"]["length"] == 50.0 and result["further"]["words"]["note"] == 1


def test_disagreeing_scorers_stop_the_evaluation(monkeypatch):
    true = {"PER": {"precision": 100.0, "recall": 100.0, "f1": 99.0, "support": 1}}
    monkeypatch.setattr(span_f1, "_seqeval", lambda *_: true)
    with pytest.raises(MismatchError, match="disagree"):
        score("ner", [["S-PER"]], [["S-PER"]], NER)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"]], [["O", "O"]], "sentence 1: 1 gold labels, 2 predicted"),
        ([["O"]], [], "1 sentences of gold labels, 0 predicted"),
        ([["O"], ["S-ORG"]], [["O"], ["O"]], "sentence 2: labels outside the label list: ['S-ORG']"),
        ([], [], "no sentences"),
    ],
)
def test_bad_input_is_refused(gold, predicted, message):
    with pytest.raises(DataError) as error:
        score("ner", gold, predicted, NER)
    assert message in str(error.value)


def test_record_is_json_and_keeps_the_scores(tmp_path):
    scores = score("ner", [["S-PER"]], [["S-PER"]], NER)
    record = metrics_record(
        model="students/posterior/seed-0",
        language="fr",
        role="zero_shot",
        seed=0,
        decoder="crf",
        objective="posterior",
        scores=scores,
        calibration={"train": {"accuracy": 99.0, "confidence": 98.0, "entropy": 0.1}},
    )
    write_json(tmp_path / "fr.json", record)
    again = json.loads((tmp_path / "fr.json").read_text())
    assert again == record and again["f1"] == 100.0 and again["model_kind"] == "student"
    assert np.array_equal(read_counts(again, where=""), [[1, 1, 1]])
    with pytest.raises(ValueError, match="student"):
        metrics_record(model="x", language="fr", role="trained", seed=0, decoder="crf", scores=scores)


def test_unreadable_counts_name_the_file():
    for record in ({}, {"sentence_counts": {"correct": "1", "predicted": "1 2", "gold": "1"}}):
        with pytest.raises(DataError, match=r"metrics/x\.json: sentence_counts"):
            read_counts(record, where="metrics/x.json")


def test_predictions_come_back(tmp_path):
    tokens = [["New York", "a\tb", r"\u0020", "\\", "\u2028", "\\ x"], ["x\x85y", "#", "日本\u3000語", "a\r"]]
    gold = [["O"] * 6, ["S-PER", "O", "O", "O"]]
    predicted = [["O"] * 5 + ["S-LOC"], ["O"] * 4]
    path = tmp_path / "a" / "fr.conll"
    write_predictions(path, tokens, gold, predicted)
    assert read_predictions(path) == (tokens, gold, predicted)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("New\\u0020York\tO\tO\n") and text.count("\n\n") == 1 and not text.endswith("\n\n")


def test_the_guide_says_how_to_read_escapes_back():
    guide = (Path(__file__).parents[2] / "docs/guide/using-a-student.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import re\n[^`]*token = [^`]*)```", guide)
    for token in ("London\u00a0City", "London City", r"\u00a0", r"\u00A0", "\\"):
        assert f"`{escape(token)}`" in guide or "London" not in token
        names = {"written": escape(token)}
        exec(code, names)
        assert names["token"] == token


@given(st.text(alphabet=st.one_of(st.sampled_from("\\u0020 \t\n\r\u2028a"), st.characters(codec="utf-8"))))
def test_escapes_are_reversible_and_hold_no_white_space(token):
    written = escape(token)
    assert unescape(written) == token
    assert not any(c.isspace() for c in written)


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "x.conll", [["a", "b"]], [["O"]], [["O", "O"]])
    assert list(tmp_path.iterdir()) == []


def test_ten_thousand_sentences_take_seconds():
    gold = [["O"] * 12 + ["B-PER", "E-PER", "S-LOC"] for _ in range(10_000)]
    score("ner", gold[:1], gold[:1], NER)  # the import of seqeval is not what is timed
    started = time.process_time()
    assert score("ner", gold, noisy(gold, 1), NER)["support"] == 20_000
    assert time.process_time() - started < 15


def test_counts_of_tags_and_spans():
    assert sentence_counts("pos", [["A", "B"]], [["A", "A"]]).tolist() == [[1, 2, 2]]
    assert sentence_counts("ner", [["S-X", "O"]], [["S-X", "S-X"]]).tolist() == [[1, 2, 1]]
    assert sentence_counts("ner", [], []).shape == (0, 3)


def test_values_of_each_type_are_those_of_seqeval_to_the_last_digit():
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOBES

    rng = np.random.default_rng(0)
    labels = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG") for prefix in "BIES")]
    for _ in range(20):
        lengths = rng.integers(1, 12, 30)
        gold, ours = ([rng.choice(labels, length).tolist() for length in lengths] for _ in range(2))
        ours = [
            [g if rng.random() < 0.6 else o for g, o in zip(*pair, strict=True)]
            for pair in zip(gold, ours, strict=True)
        ]
        *values, support = precision_recall_fscore_support(gold, ours, average=None, scheme=IOBES, zero_division=0)
        expected = [[round(100.0 * value, span_f1.DECIMALS) for value in row] for row in zip(*values, strict=True)]
        found = span_f1._seqeval(gold, ours)
        assert [[row["precision"], row["recall"], row["f1"]] for row in found.values()] == expected
        assert [row["support"] for row in found.values()] == support.tolist()
