"""The report page, its figures and the model cards, made from a small results folder with known numbers."""

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import yaml
from browser import CHROMIUM, FLAGS
from synthetic_results import TRAINED, WRONG, build, settings

from tagdistill.artifacts.files import read_json, write_json, write_text
from tagdistill.artifacts.parquet import write_table
from tagdistill.data.readers.notes import BYTE_ORDER_MARKS, NULS, REPAIRED, TABS_IN_TOKENS
from tagdistill.errors import DataError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.metrics_file import metrics_record
from tagdistill.evaluation.scores import read_scores
from tagdistill.evaluation.table_names import TABLES
from tagdistill.evaluation.tables import in_language
from tagdistill.experiment.runs import Runs
from tagdistill.formatting import duration
from tagdistill.reporting import headline
from tagdistill.reporting.card import model_card
from tagdistill.reporting.facts import non_commercial, read_runs, read_stages
from tagdistill.reporting.figures import FIGURES
from tagdistill.reporting.html import Field, Head, Table, grid_table
from tagdistill.reporting.objective_settings import objective_table
from tagdistill.reporting.report import build_report, read_metrics
from tagdistill.reporting.sections import data_table, training_table
from tagdistill.reporting.weak_teachers import weak_teachers

ATTACK = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"'&"
VOID = {"meta", "br", "hr", "img", "input", "link"}
SVG_VOID = {"path", "rect", "line", "stop", "circle"}


class Page(html.parser.HTMLParser):
    """Tags, references to other files, and tables by the nearest heading before them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.references, self.open, self.tables = set(), [], [], []
        self._row: list[str] | None = None
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "xlink:href", "srcset", "data", "action")]
        self.references += [k for k, _ in attributes if k.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self._row = []
        if tag in ("td", "th"):
            self._row.append("")
            self._cell = True

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        if tag in ("td", "th"):
            self._cell = False
        if tag == "tr":
            self.tables[-1].append([re.sub(r"\s+", " ", cell).strip() for cell in self._row])

    def handle_data(self, text):
        if self._cell:
            self._row[-1] += f" {text}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    results, benchmarks = build(root)
    add_models(results)
    write_targets(results)
    encoder = root / "encoder"
    write_json(encoder / "tagdistill.json", {"attribution": "an encoder", "licence": "MIT", "sha256": "ab" * 32})
    build_report(results, settings(), benchmarks=benchmarks, encoder=encoder, draws=200)
    return results


@pytest.fixture(scope="module")
def page(made):
    return (made / "report" / "index.html").read_text(encoding="utf-8")


def add_models(results: Path, **changes) -> None:
    for model in Runs(settings()).students:
        write_json(results / model.name / "model" / "config.json", {**config(), "seed": model.seed, **changes})
        (results / model.name / "model" / "model.safetensors").write_bytes(b"weights of " + model.name.encode())


def config() -> dict:
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


def write_targets(results: Path) -> None:
    columns = {"id": pa.array(["train-000001", "train-000002"]), "length": pa.array([7, 5], pa.int32())}
    write_table(results / "targets" / "en" / "crf" / "train.parquet", [columns], {"kind": "targets"})


def test_everything_is_written(made):
    assert {f.stem for f in (made / "tables").iterdir()} == set(TABLES)
    assert {f.stem for f in (made / "figures").iterdir()} == set(FIGURES)
    assert {f.name for f in (made / "report" / "cards").iterdir()} == {
        f"{objective}-seed-{seed}.md" for objective in ("baseline", "posterior") for seed in (0, 1)
    }


def test_the_page_is_whole_and_loads_nothing(page):
    parsed = Page(page)
    assert parsed.open == []
    assert not parsed.tags & {"script", "iframe", "img", "link", "object", "embed", "image", "use"}
    assert all(reference.startswith("#") for reference in parsed.references)
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    anchors = set(re.findall(r'\bid="([^"]+)"', page))
    assert {reference[1:] for reference in parsed.references} <= anchors
    assert len(re.findall(r'\bid="', page)) == len(anchors), "an id occurs twice"


def dev_scores(results: Path, model: str, **scores: float) -> None:
    path = results / model / "training.json"
    write_json(path, read_json(path) | {"dev_scores": scores})


def test_teachers_below_the_baseline_on_dev_are_first_on_the_page_and_in_the_log(tmp_path, caplog):
    results, _ = build(tmp_path)
    for language, dev in (("en", 79.0), ("fr", 89.3), ("nl", 87.5)):
        dev_scores(results, f"teachers/{language}/crf/seed-0", **{language: dev, "macro": dev})
    for seed, english in ((0, 88.0), (1, 89.6)):
        dev_scores(results, f"students/baseline/seed-{seed}", en=english, fr=90.2, nl=89.0, macro=89.0)
    build_report(results, settings(), draws=50)
    text = " ".join((results / "report" / "index.html").read_text(encoding="utf-8").split())
    warning = "The teachers of en (9.8 points), nl (1.5 points) are below the student `baseline` on dev: students that"
    shown = warning.replace("`baseline`", "<code>baseline</code>")
    assert shown in text and "fr (" not in text
    assert text.index(shown) < text.index('<div class="numbers">')
    assert [record.getMessage().startswith(f"warning: {warning}") for record in caplog.records] == [True]
    runs = read_runs(results, Runs(settings()).models.values())
    with_dev = {key: {"train": "a", "dev": "b", "test": "c", "format": "conllu"} for key in ("en", "fr", "nl")}
    for gate, said in (
        ("off", "may lose by it. "),
        ("soft", "on dev: students weigh what they teach by dev scores (`distill.gate`). Train"),
    ):
        of = settings(languages=with_dev, distill={"objectives": ["baseline", "posterior"], "gate": gate})
        [text] = weak_teachers(Analysis(read_scores(results, of), draws=10), runs)
        assert said in text and ("let `distill.gate: auto`" in text) == (gate == "off")


def weak_dutch(folder: Path) -> Path:
    dutch = WRONG["teachers/nl/crf/seed-0"] | {"nl": 120}
    return build(folder, WRONG | {"teachers/nl/crf/seed-0": dutch})[0]


def test_where_there_is_no_dev_score_teachers_are_compared_on_test(tmp_path):
    made = weak_dutch(tmp_path)
    runs = read_runs(made, Runs(settings()).models.values())
    [text] = weak_teachers(Analysis(read_scores(made, settings()), draws=10), runs)
    assert text.startswith("The teacher of nl (2.1 points) is below the student `baseline` on test: students that")
    assert "gate" not in text and "{" not in text  # which compares dev scores
    with_dev = {key: {"train": "a", "dev": "b", "test": "c", "format": "conllu"} for key in ("en", "fr", "nl")}
    gated = settings(languages=with_dev, distill={"objectives": ["baseline", "posterior"], "gate": "soft"})
    assert weak_teachers(Analysis(read_scores(made, gated), draws=10), runs) == [text]  # these had no dev scores
    alone = settings(distill={"objectives": ["posterior"]})
    assert weak_teachers(Analysis(read_scores(made, alone), draws=10), runs) == []


def test_a_teacher_that_is_hardly_below_the_baseline_is_not_named(made, tmp_path):
    runs = read_runs(made, Runs(settings()).models.values())
    assert weak_teachers(Analysis(read_scores(made, settings()), draws=10), runs) == []  # nl: 0.1 points
    far_apart = {f"students/baseline/seed-{seed}": {"nl": wrong} for seed, wrong in ((0, 98), (1, 50))}
    dutch = {"teachers/nl/crf/seed-0": {"nl": 100}}
    wrong = {model: found | (far_apart | dutch).get(model, {}) for model, found in WRONG.items()}
    results, _ = build(tmp_path, wrong)  # 2.6 points, where the seeds differ by 4.8: a deviation of 3.4
    runs = read_runs(results, Runs(settings()).models.values())
    assert weak_teachers(Analysis(read_scores(results, settings()), draws=10), runs) == []


def test_the_advice_about_a_weak_teacher_can_be_followed(tmp_path):
    made = weak_dutch(tmp_path)
    for teacher, advice in (
        ({"updates": 100}, "(`teacher.updates`), give it more labelled sentences, or fine-tune the encoder"),
        ({"updates": 100, "mode": "finetune"}, "(`teacher.updates`) or give it more labelled sentences."),
        ({"epochs": 2, "mode": "finetune"}, "(`teacher.epochs`) or give it more labelled sentences."),
    ):
        of = settings(teacher=teacher)
        runs = read_runs(made, Runs(of).models.values())
        [text] = weak_teachers(Analysis(read_scores(made, of), draws=10), runs)
        assert advice in text and ("finetune" in text) == ("mode" not in teacher)


def test_the_advice_is_one_that_all_weak_teachers_can_follow(tmp_path):
    languages = settings().model_dump(include={"languages"}, exclude_unset=True)["languages"]
    weak = {f"teachers/{x}/crf/seed-0": WRONG[f"teachers/{x}/crf/seed-0"] | {x: 130} for x in ("fr", "nl")}
    made, _ = build(tmp_path, WRONG | weak)
    for of_nl, mixed, tuned in (
        ({}, {}, True),
        ({"epochs": 2}, {}, True),
        ({"mode": "finetune"}, {}, False),
        ({}, {"encoder": {"tap": "mix"}}, False),
    ):
        of = settings(languages=languages | {"nl": languages["nl"] | {"teacher": of_nl}}, **mixed)
        [text] = weak_teachers(Analysis(read_scores(made, of), draws=10), read_runs(made, Runs(of).models.values()))
        assert text.startswith("The teachers of fr (3.2 points), nl (3.1 points) are")
        assert "(`teacher.updates`)" in text and ("finetune" in text) == tuned


def test_the_numbers_of_the_page(page):
    tables = Page(page).tables
    in_language = next(t for t in tables if ["Teachers", "95.00", "94.00", "90.00", "93.00"] in t)
    posterior = next(row for row in in_language if row[0] == "posterior")
    assert posterior == ["posterior", "92.40 ± 0.14", "92.00 ± 0.00", "90.20 ± 0.14", "91.53 ± 0.00"]
    zero_shot = next(t for t in tables if t[0][1] == "de")
    assert zero_shot[1][:2] == ["Best single teacher, chosen on test", "70.00 nl"]
    gap = next(t for t in tables if any(row[0].startswith("gap:") for row in t))
    assert gap[1][1].startswith("+5.20 [") and gap[2][1].startswith("50% [") and gap[2][3] == "no gap to close"


def test_scores_without_repeated_test_sentences_are_beside_the_others(page):
    assert "Without repeated test sentences" in page and "Without span types that the test set lacks" not in page
    table = next(t for t in Page(page).tables if t[0][0] == "system" and "without 2 of 100" in t[0][1])
    assert [row[0] for row in table[1:]] == ["Teachers", "baseline", "posterior"]
    assert table[3][1].endswith("above: 92.40")


def test_the_best_student_of_a_column_is_bold(page):
    row = re.search(r'<tr class="student"><th scope="row">posterior</th>(.*?)</tr>', page, re.DOTALL)[1]
    assert row.count(" best") == 4
    teachers = re.search(r'<tr class="teacher"><th scope="row">Teachers</th>(.*?)</tr>', page, re.DOTALL)[1]
    assert " best" not in teachers


def test_the_headline_says_what_is_clear(page):
    assert "In-language: posterior has the highest average, 91.53 ± 0.00." in page
    assert "Zero-shot, out of domain: posterior has the highest average, 51.30 ± 0.42. No objective is clearly" in page
    assert "The teachers average 93.00 and baseline 90.03: a gap of +2.97 [" in page
    assert "demonstration" not in page and "One seed" not in page


def test_the_page_says_what_its_intervals_cover_and_what_a_verdict_means(page):
    text = re.sub(r"\s+", " ", page)
    assert "it covers the choice of test sentences (paired bootstrap, 200 resamples) and of seeds, except" in text
    assert "p is below 0.05 after Holm&#39;s correction for the 3 comparisons of this page." in text
    table = next(t for t in Page(page).tables if "p, corrected" in t[0])
    verdicts = {row[0]: row[4:6] for row in table[1:] if row[2] == "In-language"}
    assert verdicts == {"Teachers": ["–", "one seed: no verdict"], "posterior": ["< 0.001", "better"]}


def test_one_seed_has_intervals_and_no_verdict(tmp_path):
    results, _ = build(tmp_path, {model: found for model, found in WRONG.items() if "seed-0" in model})
    build_report(results, settings(seeds=[0]), draws=100)
    text = re.sub(r"\s+", " ", (results / "report" / "index.html").read_text(encoding="utf-8"))
    assert "paired bootstrap over test sentences (100 resamples): it does not cover the choice of seeds." in text
    assert "There are no verdicts" in text and "Holm" not in text and "learly" not in text.split("Significance")[0]
    table = next(t for t in Page(text).tables if "p, corrected" in t[0])
    assert {row[5] for row in table[1:]} == {"one seed: no verdict"}
    assert re.fullmatch(r"\+\d\.\d\d \[.*\]", table[1][3])


def test_no_gap_to_close_is_said(tmp_path):
    wrong = {**WRONG, **{f"teachers/{x}/crf/seed-0": {**WRONG[f"teachers/{x}/crf/seed-0"], x: 130} for x in TRAINED}}
    results, _ = build(tmp_path, wrong)
    build_report(results, settings(), draws=100)
    text = (results / "report" / "index.html").read_text()
    assert "no gap to close, because the teachers are not clearly better" in text
    assert "Clearly better than the reference: posterior" in text
    assert "No gap to close" in (results / "figures" / "gap_closed.svg").read_text()


def test_demo_data_one_seed_and_unequal_updates_are_noted(tmp_path):
    results, _ = build(tmp_path)
    languages = {x: {"source": "demo"} for x in ("en", "es")}
    experiment = settings(task="ner", labels=["PER"], languages=languages, zero_shot={}, seeds=[0])
    path = results / "students/posterior/seed-0/training.json"
    write_json(path, {**json.loads(path.read_text()), "updates": 999})
    shutil.rmtree(results / "metrics")
    build_report(results, experiment, draws=100)
    text = (results / "report" / "index.html").read_text()
    assert "This is demonstration data" in text and "One seed" in text and "6 results missing" in text
    assert "Not all students were trained for the same number of updates: baseline 200, posterior 999." in text


def test_small_test_sets_are_noted(tmp_path):
    results, _ = build(tmp_path)
    analysis = Analysis(read_scores(results, settings()), draws=10)
    assert not any("Small test sets" in note for note in headline.notes(analysis, []))
    analysis.results.counts["fr"] = {name: rows[:19] for name, rows in analysis.results.counts["fr"].items()}
    assert any(note.startswith("Small test sets: fr (19).") for note in headline.notes(analysis, []))


def test_a_page_without_any_result_still_stands(tmp_path):
    build_report(tmp_path / "none", settings(), benchmarks=tmp_path / "no benchmarks")
    text = (tmp_path / "none" / "report" / "index.html").read_text()
    assert "No complete results yet." in text and "results missing" in text and not Page(text).open


def test_a_page_says_where_no_language_has_a_test_set(tmp_path):
    files = {"train": "train.conllu", "format": "conllu"}
    untested = settings(languages=dict.fromkeys(TRAINED, files), zero_shot={})
    build_report(tmp_path / "none", untested, benchmarks=tmp_path / "no benchmarks")
    text = (tmp_path / "none" / "report" / "index.html").read_text()
    assert "No language has a test set" in text and not Page(text).open
    assert "Scores are" not in text and "No complete results yet" not in text


def test_a_failed_seed_is_shown_as_missing(tmp_path):
    wrong = {model: dict(languages) for model, languages in WRONG.items()}
    del wrong["students/posterior/seed-0"], wrong["students/posterior/seed-1"]["fr"]
    results, benchmarks = build(tmp_path, wrong)
    log = results / "students/baseline/seed-0/metrics.jsonl"
    log.write_text(log.read_text() + '{"update": 20')  # cut off as it was written
    build_report(results, settings(), benchmarks=benchmarks, draws=100)
    text = (results / "report" / "index.html").read_text()
    assert "7 results missing (shown as –): metrics/students/posterior/seed-0/en.json" in text
    assert "metrics/students/posterior/seed-1/fr.json" in (results / "tables" / "missing.tsv").read_text()
    rows = next(t for t in Page(text).tables if t[0][1:2] == ["en"] and t[1][0] == "Teachers")
    assert next(row for row in rows if row[0] == "posterior") == ["posterior", "92.30", "–", "90.30", "–"]


def test_a_broken_log_line_is_named(tmp_path):
    log = tmp_path / "students/baseline/seed-0/metrics.jsonl"
    write_text(log, '{"update": 1}\nnot json\n{"update": 3}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2"):
        read_runs(tmp_path, Runs(settings()).students)


def test_whatever_comes_from_data_is_escaped(tmp_path):
    results, benchmarks = build(tmp_path)
    path = results / "data" / "nl" / "report.json"
    report = json.loads(path.read_text())
    report["splits"]["train"] |= {
        "licence": ATTACK,
        "source": ATTACK,
        "notes": {ATTACK: {"count": 1, "places": [ATTACK]}},
        "warnings": [ATTACK],
    }
    write_json(path, report)
    (benchmarks / "<b>stage.tsv").write_text("s\tmax_rss\n1.0\t2.0\n")
    summary = results / "students/posterior/seed-0/training.json"
    write_json(summary, {**json.loads(summary.read_text()), "device": ATTACK, "versions": {ATTACK: ATTACK}})
    languages = settings().model_dump(mode="json", exclude_none=True)["languages"]
    languages["en"]["leave_out"] = ATTACK
    build_report(results, settings(languages=languages), benchmarks=benchmarks, draws=50)
    text = (results / "report" / "index.html").read_text()
    parsed = Page(text)
    assert parsed.open == [] and not parsed.tags & {"script", "img", "b>stage"}
    assert all(reference.startswith("#") for reference in parsed.references)
    assert "<strong>Warning:</strong> &lt;script&gt;alert(1)" in text.replace("\n", "")
    assert text.count("&lt;script&gt;alert(1)") >= 6 and "<b>stage" not in text


def test_training_and_provenance_are_shown(page, made):
    tables = Page(page).tables
    models = next(t for t in tables if t[0][0] == "model")
    row = next(row for row in models if row[0] == "students/posterior/seed-0")
    assert row[1:3] == ["200", "160"] and row[5] == "12%" and row[7] == "cpu"
    assert re.fullmatch(r"[0-9a-f]{12}", row[8])
    stages = next(t for t in tables if t[0][0] == "stage")
    assert ["encode", "2", "10 s", "5.5 s", "512 MB"] in stages and [
        "train_student",
        "1",
        "44 s",
        "44 s",
        "–",
    ] in stages
    stored = next(t for t in tables if t[0][0] == "stored")
    size = (made / "targets/en/crf/train.parquet").stat().st_size
    assert stored[1] == ["targets, en train (crf)", "12", "0.00 MB", f"{size / 12:.1f}"]
    assert ["nl", "CC BY-NC-SA 4.0"] in next(t for t in tables if t[0] == ["language", "licence"])
    assert "the data for nl may not be used commercially" in page
    data = next(t for t in tables if t[0][0] == "split" and "sentences" in t[0])
    assert data[1][0] == "en train" and data[2][5] == "2 in train" and "4 badly started spans repaired" in data[5][7]
    settings_text = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)[1]
    assert "objectives:" in settings_text and "batch_words: 1000" in settings_text


def test_certainty_of_the_teachers(page):
    table = next(t for t in Page(page).tables if any(row[0] == "fr/crf/seed-0" for row in t))
    assert table[0][1] == "accuracy, % own training text"
    assert table[2] == ["fr/crf/seed-0", "99.40", "98.10", "0.080", "94.60", "96.30", "0.170"]


@pytest.mark.parametrize("decode", ["constrained", "unconstrained"])
def test_the_page_says_that_certainty_is_of_unconstrained_decoding_where_scores_are_not(decode, page, tmp_path):
    results, benchmarks = build(tmp_path)
    files = {"train": "train.conll", "test": "test.conll", "format": "conll"}
    changes = {"task": "ner", "labels": ["PER"], "languages": dict.fromkeys(TRAINED, files), "zero_shot": {}}
    build_report(results, settings(**changes, evaluate={"decode": decode}), benchmarks=benchmarks, draws=50)
    text = (results / "report" / "index.html").read_text(encoding="utf-8")
    said = "best of all label sequences, well-formed or not (unconstrained)"
    assert "Accuracy and confidence" in text and not Page(text).open
    assert (said in text) == (decode == "constrained") and said not in page  # the page is of tags


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path):
    results, benchmarks = build(tmp_path)
    add_models(results)
    runs = []
    for _ in range(2):
        build_report(results, settings(), benchmarks=benchmarks, draws=50)
        runs.append(
            {f: (results / f).read_bytes() for f in ("report/index.html", *(f"figures/{x}.svg" for x in FIGURES))}
        )
    assert runs[0] == runs[1]


def test_stages_come_from_benchmarks(tmp_path):
    _, benchmarks = build(tmp_path)
    assert [(s.name, s.jobs, s.seconds) for s in read_stages(benchmarks)] == [
        ("train_student", 1, 44.25),
        ("train_teacher", 1, 31.0),
        ("encode", 2, 10.0),
    ]
    assert read_stages(None) == [] == read_stages(tmp_path / "none")


def test_durations_read_as_a_person_would_write_them():
    assert [duration(x) for x in (4.25, 59.4, 185, 7800)] == ["4.2 s", "59 s", "3 min 5 s", "2 h 10 min"]


@pytest.mark.parametrize(
    "licence", ["CC BY-NC-SA 4.0", "CC-BY-NC 3.0", "for non-commercial use", "noncommercial", "research use only"]
)
def test_licences_that_forbid_commercial_use_are_found(licence):
    assert non_commercial(licence)
    assert not non_commercial("CC BY-SA 4.0") and not non_commercial(None) and not non_commercial("INCOME licence")


def test_model_card(made):
    model = Runs(settings()).students[2]
    card = model_card(
        config(), read_metrics(made, settings(), model), name="toy/student", encoder={"sha256": "ab" * 32}
    )
    front, body = card.removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(front)["language"] == list(TRAINED)
    assert "| language | accuracy | sentences |\n|---|---|---|\n| en | 92.50 | 100 |\n" in body
    assert "| de | 83.00 | 100 |" in body and "tagdistill, tags" in body
    assert "**Non-commercial:** the data for nl is licensed for non-commercial use only." in body
    assert "The licence of the data for fr is not stated" in body and "| fr | not known |" in body
    assert "4-bit copy" in body and "ab" * 32 in body and "tagdistill predict --model FOLDER" in body
    assert "objective `posterior`" in body and "Labels\n\nNOUN, VERB\n" in body
    assert "\n\n\n" not in card
    assert (made / "report/cards/posterior-seed-0.md").read_text().startswith("---\nlanguage:")


def test_the_report_says_what_share_of_the_updates_was_clipped(made):
    shown = training_table(read_runs(made, Runs(settings()).models.values()))
    place = [head.text for head in shown.columns].index("clipped")
    assert {cells[place].text for _, cells in shown.rows} == {"12%"}


def test_the_settings_of_each_objective_are_shown():
    hot = {"name": "hot", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0, "anneal": {"tau": 0.5}}
    listed = ["baseline", "posterior", hot, {"name": "top_k", "k": 1}, "top_wk", "pseudo_labels"]
    files = {"train": "a", "test": "b", "unlabelled": "c", "format": "conllu"}
    experiment = settings(distill={"objectives": listed, "temperature": 0.5}, languages={"en": files}, zero_shot={})
    table = objective_table(experiment)
    assert {head.text: [cell.text for cell in cells] for head, cells in table.rows} == {
        "baseline": ["baseline", "–", "–", "–", "–"],
        "posterior": ["posterior", "1 to 0", "0.5", "–", "1"],
        "hot": ["posterior", "1, less 0.5% per epoch", "2.25", "–", "0"],
        "top_k": ["top_k", "1 to 0", "–", "1", "1"],
        "top_wk": ["top_wk", "1 to 0", "–", "10", "1"],
        "pseudo_labels": ["pseudo_labels", "0", "–", "–", "1"],
    }


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


def test_many_languages_become_rows_with_the_averages_first():
    columns = [*(Head(f"l{n}") for n in range(40)), Head("average", tone="average")]
    row = (Head("posterior"), [Field(str(n)) for n in range(41)])
    turned = Table(columns, [row]).narrow()
    assert [head.text for head, _ in turned.rows][:2] == ["average", "l0"] and turned.tall
    assert turned.rows[0][1][0].text == "40" and [head.text for head in turned.columns] == ["posterior"]
    assert Table(columns[:3], [row]).narrow().columns == columns[:3]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not rendered")
def test_the_page_renders_in_a_browser(made, tmp_path):
    command = [
        CHROMIUM,
        *FLAGS,
        "--virtual-time-budget=4000",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
        f"file://{made}/report/index.html",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0
    assert shown.stdout.count("<svg") == len(FIGURES) and "91.53" in shown.stdout and "</html>" in shown.stdout


def test_what_the_tokenizer_did_not_know_is_in_the_data_table():
    reports = {"fr": {"splits": {"test": {"sentences": 3, "tokens": 9}}}}
    table = data_table(reports, {("fr", "test"): {"words with an unknown piece": 2}})
    assert "2 words with an unknown piece" in str(table)
    assert "unknown piece" not in str(data_table(reports))


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        (BYTE_ORDER_MARKS, "1 byte order mark left out", "2 byte order marks left out"),
        ("sentences split into windows", "1 sentence split into windows", "2 sentences split into windows"),
        ("words with an unknown piece", "1 word with an unknown piece", "2 words with an unknown piece"),
        (REPAIRED, "1 badly started span repaired", "2 badly started spans repaired"),
        (TABS_IN_TOKENS, "1 token that holds a TAB", "2 tokens that hold a TAB"),
        (NULS, "1 line or row that holds the character NUL", "2 lines or rows that hold the character NUL"),
    ],
)
def test_one_of_a_kind_is_no_plural_in_the_data_table(kind, one, two):
    for number, shown in ((1, one), (2, two)):
        reports = {"fr": {"splits": {"test": {"sentences": 3, "notes": {kind: {"count": number, "places": []}}}}}}
        assert f"'{shown}'" in str(data_table(reports))


def test_the_note_on_demonstration_data_is_of_the_languages_that_are():
    def note(**changes) -> str:
        results = SimpleNamespace(experiment=settings(**changes), missing=[], counts={})
        analysis = SimpleNamespace(results=results, targets=[])
        return next((text for text in headline.notes(analysis, []) if "demonstration data" in text), "")

    demo = {name: {"source": "demo"} for name in ("en", "es")}
    unseen = {"de": {"source": "demo"}}
    assert note() == ""
    assert note(zero_shot=unseen).startswith("Part of this is demonstration data, written for this project (de): its")
    assert note(languages=demo, zero_shot=unseen).startswith("This is demonstration data")
    assert "docs/results/index.md" in note(languages=demo, zero_shot=unseen)


def test_a_licence_that_nobody_states_is_listed(page):
    licences = next(table for table in Page(page).tables if table[0] == ["language", "licence"])
    assert licences[1:] == [
        ["en", "CC BY-SA 4.0"],
        ["fr", "LGPL-LR"],
        ["nl", "CC BY-NC-SA 4.0"],
        *([name, "not stated"] for name in ("de", "ar", "xx")),
    ]


def test_where_all_students_are_equal_none_is_the_best(tmp_path):
    alike = {model: dict.fromkeys(languages, 1000) for model, languages in WRONG.items() if "students" in model}
    results, _ = build(tmp_path, WRONG | alike)
    analysis = Analysis(read_scores(results, settings()), draws=5)
    assert [number.title for number in headline.numbers(analysis)[:2]] == [
        "In-language: all equal",
        "Zero-shot: all equal",
    ]
    assert headline.findings(analysis)[0] == "In-language: all students have the same average, 0.00."
    assert not any(field.best for _, row in grid_table(in_language(analysis)).rows for field in row)


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
