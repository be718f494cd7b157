"""The model card of a student: its words, its scores and its front matter."""

import re

import yaml
from synthetic_results import ATTACK, config

from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.metrics_file import metrics_record
from tagdistill.reporting.card import model_card


def test_a_model_card_says_what_the_objective_was():
    own = {"objectives": [{"name": "flat", "loss": "top_k", "k": 1}], "anneal": {"from": 0.5, "to": 0.5}}
    card = model_card({**config(), "objective": "flat", "distill": own})
    assert "(objective `flat`: loss `top_k`, teacher weight 0.5, paths 1)" in card


def test_model_card_of_a_baseline_and_of_hostile_text():
    hostile = {**config(), "objective": "baseline", "distill": None, "licences": {"en": ATTACK + "\n# x | y"}}
    card = model_card({**hostile, "encoder": {"provider": "hub", "id": "x/y", "revision": "c0ffee"}})
    assert "trained without teachers" in card and "has not been evaluated" in card and "4-bit" not in card
    assert not re.search(r"(?<!\\)<script", card) and r"\# x \| y" in card and "Revision c0ffee." in card


def test_model_card_of_a_span_tagger():
    gold, labels = [["S-PER", "O"]], ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    record = metrics_record(
        model="students/posterior/seed-0",
        language="en",
        role="trained",
        seed=0,
        decoder="crf",
        objective="posterior",
        scores=score("ner", gold, gold, labels),
    )
    card = model_card({**config(), "task": "ner", "labels": list(labels)}, [record])
    assert (
        "| language | F1 | precision | recall | F1, conlleval | sentences |\n|---|---|---|---|---|---|\n| en | 100.00 |"
        in card
    )
    assert "seqeval strict, IOBES" in card and "Spans are labelled in BIOES" in card


def test_a_model_card_says_where_no_span_is_in_a_test_set():
    labels = ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    records = [
        {**score("ner", [[label, "O"]], [["S-PER", "O"]], labels), "language": language, "role": "trained"}
        for language, label in {"en": "S-PER", "de": "O"}.items()
    ]
    card = model_card({**config(), "task": "ner", "labels": list(labels)}, records)
    assert "No span in the test set of de: F1 is 0 there whatever the model predicts.\n" in card
    (index,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    assert [result["dataset"]["type"] for result in index["results"]] == ["en"]
    assert "No span" not in model_card({**config(), "task": "ner", "labels": list(labels)}, records[:1])


def test_the_front_matter_of_a_card_holds_codes_of_languages_only():
    config = {"task": "ner", "decoder": "crf", "seed": 0, "labels": ["O", "S-PER"]}
    for keys, codes in ((["de_news", "de-x", "nl", "zho", "dutch"], ["de", "nl", "zho"]), (["dutch"], None)):
        card = model_card(config | {"languages": keys})
        assert yaml.safe_load(card.split("---\n")[1]).get("language") == codes
        assert "dutch" in card.split("---\n")[2]


def test_a_model_card_names_each_decoding_and_reading():
    gold, labels = [["B-PER", "E-PER", "O"]], ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    scores = score("ner", gold, gold, labels, beside={"unconstrained": [["B-PER", "I-PER", "O"]]})
    record = {**scores, "language": "en", "role": "trained", "decode": "constrained"}
    card = model_card({**config(), "task": "ner", "labels": list(labels)}, [record])
    head = "| language | F1 | precision | recall | F1, unconstrained | F1, conlleval | sentences |"
    assert f"{head}\n|---|---|---|---|---|---|---|\n| en | 100.00 | 100.00 | 100.00 | 0.00 | 100.00 | 1 |" in card
    assert "F1 is of constrained decoding and of whole spans\nonly" in card and "conlleval's lenient reading" in card


def test_the_hub_reads_the_scores_of_a_card():
    from huggingface_hub import ModelCard

    record = {"language": "en", "role": "trained", "score": "f1", "f1": 91.534, "precision": 90.0, "recall": 93.0}
    rest = {"scorer": "seqeval strict", "scheme": "IOBES", "sentences": 3}
    expected = {"f1": 0.9153, "precision": 0.9, "recall": 0.93}
    card = ModelCard(model_card({**config(), "task": "ner"}, [{**record, **rest}], name="demo/students/posterior"))
    assert card.data.model_name == "demo/students/posterior" and card.data.library_name == "tagdistill"
    scores = {found.metric_type: (found.metric_value, found.dataset_name) for found in card.data.eval_results}
    assert scores == {name: (value, "en (trained)") for name, value in expected.items()}
    assert "loads with `tagdistill.Tagger`" in card.text
    assert ModelCard(model_card(config())).data.eval_results is None
