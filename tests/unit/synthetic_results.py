"""A small results folder with known numbers: 100 sentences of 10 words, so one wrong word is a tenth of a point."""

import json
import random
from pathlib import Path

from tagdistill.artifacts.files import write_json, write_text
from tagdistill.data.labels import UPOS
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.metrics_file import metrics_record
from tagdistill.evaluation.predictions import write_predictions
from tagdistill.experiment.config import check_experiment
from tagdistill.settings.experiment import Experiment

SENTENCES, WORDS = 100, 10
TRAINED, ZERO_SHOT = ("en", "fr", "nl"), ("de", "ar", "xx")
ATTACK = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"'&"

# Wrong words of 1,000, by model and language. nl: the teacher is no better than the baseline.
WRONG: dict[str, dict[str, int]] = {
    "teachers/en/crf/seed-0": {"en": 50, "fr": 300, "nl": 320, "de": 350, "ar": 700, "xx": 500},
    "teachers/fr/crf/seed-0": {"en": 280, "fr": 60, "nl": 300, "de": 400, "ar": 650, "xx": 510},
    "teachers/nl/crf/seed-0": {"en": 310, "fr": 310, "nl": 100, "de": 300, "ar": 690, "xx": 520},
    "students/baseline/seed-0": {"en": 100, "fr": 100, "nl": 98, "de": 200, "ar": 500, "xx": 400},
    "students/baseline/seed-1": {"en": 104, "fr": 96, "nl": 100, "de": 210, "ar": 480, "xx": 420},
    "students/posterior/seed-0": {"en": 75, "fr": 80, "nl": 99, "de": 170, "ar": 490, "xx": 410},
    "students/posterior/seed-1": {"en": 77, "fr": 80, "nl": 97, "de": 176, "ar": 484, "xx": 400},
}


# Test sentences that students saw: of English in its own text, of German in text of another language.
REPEATS = {
    "en": {"sentences": SENTENCES, "train": 1, "unlabelled": 1, "other_languages": 0, "places": [0, 1]},
    "fr": {"sentences": SENTENCES, "train": 0, "unlabelled": 0, "other_languages": 0, "places": []},
    "de": {"sentences": SENTENCES, "train": 0, "unlabelled": 0, "other_languages": 1, "places": [3]},
}


def settings(**changes) -> Experiment:
    """Return the experiment that the folder belongs to."""
    files = {"train": "train.conllu", "test": "test.conllu", "format": "conllu"}
    values = {
        "name": "toy",
        "task": "pos",
        "labels": "upos",
        "languages": {
            "en": {**files, "licence": "CC BY-SA 4.0"},
            "fr": {**files, "licence": "LGPL-LR"},
            "nl": {**files, "licence": "CC BY-NC-SA 4.0"},
        },
        "zero_shot": {
            "de": {"test": "de.conllu", "format": "conllu"},
            "ar": {"test": "ar.conllu", "format": "conllu", "out_of_domain": True},
            "xx": {"test": "xx.conllu", "format": "conllu", "leave_out": "tags made by a machine"},
        },
        "teacher": {"updates": 100},
        "student": {"updates": 200},
        "distill": {"objectives": ["baseline", "posterior"]},
        "seeds": [0, 1],
    }
    return check_experiment({**values, **changes}, "toy.yaml")


def build(root: Path, wrong: dict[str, dict[str, int]] = WRONG) -> tuple[Path, Path]:
    """Write results/toy and benchmarks/toy below `root` and return both."""
    results, benchmarks = root / "results" / "toy", root / "benchmarks" / "toy"
    for model, languages in wrong.items():
        for language, number in languages.items():
            add_scores(results, model, language, number)
        add_logs(results, model)
    for language in TRAINED:
        write_json(results / "data" / language / "report.json", data_report(language))
    write_json(results / "data" / "repeats.json", {"format": 1, "kind": "repeats", "languages": REPEATS})
    add_benchmarks(benchmarks)
    return results, benchmarks


def shorten(results: Path, language: str, sentences: int) -> None:
    """Leave the counts of so many test sentences in the metrics of a language."""
    for path in (results / "metrics").rglob(f"{language}.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        counts = {name: " ".join(line.split()[:sentences]) for name, line in record["sentence_counts"].items()}
        write_json(path, {**record, "sentences": sentences, "sentence_counts": counts})


def gold_of(language: str) -> list[list[str]]:
    draw = random.Random(language)
    return [[draw.choice(UPOS) for _ in range(WORDS)] for _ in range(SENTENCES)]


def add_scores(results: Path, model: str, language: str, number: int) -> None:
    gold = gold_of(language)
    predicted = [list(sentence) for sentence in gold]
    # The first n places of one order: models of a language err on the same words, as real ones tend to.
    places = [(s, w) for s in range(SENTENCES) for w in range(WORDS)]
    random.Random(f"errors {language}").shuffle(places)
    for s, w in places[:number]:
        predicted[s][w] = UPOS[(UPOS.index(gold[s][w]) + 1) % len(UPOS)]
    tokens = [[f"w{s}.{w}" for w in range(WORDS)] for s in range(SENTENCES)]
    write_predictions(results / "predictions" / model / f"{language}.conll", tokens, gold, predicted)
    write_json(results / "metrics" / model / f"{language}.json", record(model, language, gold, predicted))


def record(model: str, language: str, gold, predicted) -> dict:
    kind, name, *_, seed = model.split("/")
    own = kind == "teachers" and name == language
    shared = kind == "teachers" and name not in TRAINED and language in TRAINED
    texts = {
        "train": {"accuracy": 99.4, "confidence": 98.1, "entropy": 0.08},
        "test": {"accuracy": 94.6, "confidence": 96.3, "entropy": 0.17},
    }
    return metrics_record(
        model=model,
        language=language,
        role="trained" if language in TRAINED else "zero_shot",
        seed=int(seed.removeprefix("seed-")),
        decoder="crf",
        scores=score("pos", gold, predicted, UPOS),
        corpus_sha256=f"{language}{'0' * 62}",
        calibration=texts if own else {"test": texts["test"]} if shared else None,
        **({"teacher": name} if kind == "teachers" else {"objective": name}),
    )


def add_logs(results: Path, model: str) -> None:
    draw, lines = random.Random(model), []
    distils = "posterior" in model
    for update in range(10, 201, 10):
        loss = 30 / update**0.5 + draw.random()
        parts = {"gold": loss * 0.6, "teacher": loss * 0.4} if distils else {"gold": loss}
        weight = 1 - update / 200 if distils else 0.0
        lines.append({"update": update, "loss": loss, **parts, "teacher_weight": weight, "words_per_second": 9000.0})
        if update % 40 == 0:
            dev = 90 - 300 / update + draw.random()
            lines.append({"update": update, "dev": {"macro": dev, "pooled": dev + 0.4, "en": dev - 1}})
    write_text(results / model / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    summary = {
        "updates": 200,
        "seconds": 42.0 + draw.random(),
        "words_per_second": 9000.0,
        "best_update": 160,
        "clipped": 0.125,
    }
    summary |= {"dev": {"macro": 89.0}, "parameters": 1_234_567, "device": "cpu", "threads": 1}
    summary |= {"versions": {"tagdistill": "0.1.0", "torch": "2.13.0"}, "seed": 0, "objective": None}
    write_json(results / model / "training.json", summary)


REPAIRED = {"badly started spans repaired": {"count": 4, "places": ["train.conll:12: 'I-PER' after 'O'"]}}


def data_report(language: str) -> dict:
    def split(name: str, sentences: int) -> dict:
        return {
            "sentences": sentences,
            "tokens": sentences * 17,
            "lengths": {
                "max": 61,
                "mean": 17.0,
                "histogram": {"up_to": [1, 10, 20, None], "sentences": [3, 7, sentences - 15, 5]},
            },
            "labels": {"tokens": {"NOUN": sentences * 9, "VERB": sentences * 8}},
            "characters": {"zero_width": 3 if language == "fr" else 0, "not_nfc": 0},
            "repeated_sentences": 3,
            "conflicting_labels": 1 if language == "fr" else 0,
            "notes": {"empty nodes left out": {"count": 2, "places": []}, **(REPAIRED if language == "nl" else {})},
            "source": f"data/{language}/{name}.conllu",
            "source_sha256": f"{language}{'a' * 62}",
            "corpus_sha256": f"{language}{'b' * 62}",
            "licence": {"en": "CC BY-SA 4.0", "fr": "LGPL-LR", "nl": "CC BY-NC-SA 4.0"}[language],
        }

    return {
        "format": 1,
        "kind": "data report",
        "language": language,
        "splits": {"train": split("train", 100), "test": split("test", SENTENCES)},
        "repeats": {"test in train": {"shared": 2, "distinct": SENTENCES}},
    }


def add_benchmarks(folder: Path) -> None:
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, seconds in {"encode/en/train": 4.5, "encode/fr/train": 5.5, "train_teacher/en/crf/seed-0": 31.0}.items():
        write_text(folder / f"{name}.tsv", f"{head}{seconds}\t0:00:04\t512.5\t-\t-\t-\t0\t0\t98.0\t{seconds}\n")
    write_text(folder / "train_student/posterior/seed-0.tsv", f"{head}44.25\t0:00:44\t-\t-\t-\t-\t-\t-\t-\t-\n")


def config() -> dict:
    """Return what the config.json of a student says."""
    return {
        "format": 1,
        "kind": "tagger",
        "task": "pos",
        "labels": ["NOUN", "VERB"],
        "decoder": "crf",
        "objective": "posterior",
        "languages": list(TRAINED),
        "licences": {"en": "CC BY-SA 4.0", "fr": None, "nl": "CC BY-NC-SA 4.0"},
        "encoder": {"provider": "wheel", "layers": 8, "tap": 6},
        "mode": "frozen",
        "distill": {"k": 10},
        "seed": 0,
        "versions": {"tagdistill": "0.1.0", "torch": "2.13.0"},
    }
