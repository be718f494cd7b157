"""The report page and its figures, made from a small results folder with known numbers."""

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from browser import CHROMIUM, FLAGS
from synthetic_results import ATTACK, TRAINED, WRONG, build, config, settings, shorten

from tagdistill.artifacts.files import write_json, write_text
from tagdistill.artifacts.parquet import write_table
from tagdistill.errors import DataError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.scores import read_scores
from tagdistill.evaluation.table_names import TABLES
from tagdistill.evaluation.tables import in_language
from tagdistill.experiment.runs import Runs
from tagdistill.reporting import headline
from tagdistill.reporting.card import model_card
from tagdistill.reporting.facts import read_runs, read_stages
from tagdistill.reporting.figures import FIGURES
from tagdistill.reporting.html import grid_table
from tagdistill.reporting.notes import notes
from tagdistill.reporting.report import build_report, read_metrics
from tagdistill.reporting.sections import training_table

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
    assert not any("Small test sets" in note for note in notes(analysis, [], {}))
    analysis.results.counts["fr"] = {name: rows[:19] for name, rows in analysis.results.counts["fr"].items()}
    assert any(note.startswith("Small test sets: fr (19).") for note in notes(analysis, [], {}))


def test_small_dev_sets_are_noted(tmp_path):
    results, _ = build(tmp_path)
    for language, sentences in (("en", 20), ("fr", 1)):
        path = results / "data" / language / "report.json"
        report = json.loads(path.read_text())
        report["splits"]["dev"] = {**report["splits"]["test"], "sentences": sentences}
        write_json(path, report)
    build_report(results, settings(), draws=100)
    text = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert "Small dev sets: fr (1). With fewer than 20 sentences it is largely chance which weights" in text


def test_test_sets_without_a_span_are_noted(tmp_path):
    results, _ = build(tmp_path)
    analysis = Analysis(read_scores(results, settings()), draws=10)
    assert not any(note.startswith("No span") for note in notes(analysis, [], {}))
    for language in ("fr", "ar"):
        for rows in analysis.results.counts[language].values():
            rows[:, [0, 2]] = 0
    (note,) = (note for note in notes(analysis, [], {}) if note.startswith("No span"))
    assert note.startswith("No span in the test set of fr and ar: F1 is 0 there whatever a model predicts")


def test_a_few_test_sentences_have_no_verdict(tmp_path):
    results, _ = build(tmp_path)
    for language in TRAINED:
        shorten(results, language, 5)
    build_report(results, settings(), draws=100)
    text = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert "Small test sets: en (5), fr (5), nl (5)." in text and "With fewer than 6 there is no verdict" in text
    table = next(t for t in Page(text).tables if "p, corrected" in t[0])
    assert {row[5] for row in table[1:] if row[2] == "In-language"} == {"too few test sentences: no verdict"}
    assert "too few test sentences to tell whether that is a gap." in text
    assert re.search(r"In-language: posterior has the highest average, [\d.]+ ± [\d.]+\.</li>", text)
    shares = next(t for t in Page(text).tables if t[1][0].startswith("gap: teachers"))
    assert set(shares[2][1:]) == {"too few test sentences"}
    assert "Too few test sentences." in (results / "figures" / "gap_closed.svg").read_text(encoding="utf-8")


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
    build_report(results, settings(), benchmarks=benchmarks, draws=100)
    text = (results / "report" / "index.html").read_text()
    assert "7 results missing (shown as –): metrics/students/posterior/seed-0/en.json" in text
    assert "metrics/students/posterior/seed-1/fr.json" in (results / "tables" / "missing.tsv").read_text()
    rows = next(t for t in Page(text).tables if t[0][1:2] == ["en"] and t[1][0] == "Teachers")
    assert next(row for row in rows if row[0] == "posterior") == ["posterior", "92.30", "–", "90.30", "–"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "metrics.jsonl: not readable as a training log: it is empty"),
        ('{"update": 1, "loss": 2.0}\n{"upd', "metrics.jsonl: not readable as a training log: it is cut off"),
        ('{"update": 1, "loss": 2.0}\nnot json\n{"update": 3}\n', "metrics.jsonl:2: not readable as JSON: "),
        ('{"update": 1, "loss": 2.0}\n3\n', "metrics.jsonl:2: not a line of a training log"),
        (b"{\xff}\n", "metrics.jsonl: not readable as a training log: "),
    ],
    ids=["empty", "cut", "garbled", "other", "bytes"],
)
def test_a_damaged_training_log_is_named_and_no_curve_is_drawn_from_it(text, said, tmp_path, caplog):
    log = tmp_path / "students/baseline/seed-0/metrics.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    [run] = read_runs(tmp_path, Runs(settings()).students)
    assert run.history == [] and said in run.damage and said in caplog.text
    [note] = [x for x in notes(Analysis(read_scores(tmp_path, settings()), draws=10), [run], {}) if "log" in x]
    assert said in note and "delete it and run again" in note


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("data/nl/report.json", "[]", "names with values are needed"),
        ("data/nl/report.json", "{}", "'splits' is missing"),
        ("students/posterior/seed-0/training.json", "null", "names with values are needed"),
        ("students/posterior/seed-0/model/config.json", "{}", "'languages' is missing"),
    ],
)
def test_a_file_that_holds_other_things_is_named(name, text, said, tmp_path):
    results, benchmarks = build(tmp_path)
    write_text(results / name, text)
    with pytest.raises(DataError, match=said) as caught:
        build_report(results, settings(), benchmarks=benchmarks, draws=50)
    assert caught.value.where == str(results / name) and "delete it and run again" in caught.value.hint


def test_a_benchmark_without_a_time_is_named(tmp_path, caplog):
    write_text(tmp_path / "train_student/baseline-0.tsv", "")
    write_text(tmp_path / "train_student/posterior-0.tsv", "s\tmax_rss\n1.5\t-\n")
    [stage] = read_stages(tmp_path)
    assert stage.seconds == 1.5
    assert "baseline-0.tsv: no time in it" in caplog.text and "posterior" not in caplog.text


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
    assert stored[1] == ["targets, en train (crf)", "12", f"{size / 1000:.0f} kB", f"{size / 12:.1f}"]
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


def test_a_licence_that_nobody_states_is_listed(page):
    licences = next(table for table in Page(page).tables if table[0] == ["language", "licence"])
    assert licences[1:] == [
        ["en", "CC BY-SA 4.0"],
        ["fr", "LGPL-LR"],
        ["nl", "CC BY-NC-SA 4.0"],
        *([name, "not stated"] for name in ("de", "ar", "xx")),
    ]


def test_students_that_share_the_highest_average_are_all_named(tmp_path):
    alike = {f"students/structural/seed-{seed}": WRONG[f"students/posterior/seed-{seed}"] for seed in (0, 1)}
    results, _ = build(tmp_path, WRONG | alike)
    experiment = settings(distill={"objectives": ["baseline", "posterior", "structural"]})
    analysis = Analysis(read_scores(results, experiment), draws=200)
    first = headline.numbers(analysis)[0]
    assert first.title == "In-language: best are posterior and structural"
    assert (first.text, first.detail) == ("91.53", "with the same average")
    text = headline.findings(analysis)[0]
    assert text.startswith("In-language: posterior and structural have the highest average, 91.53. Clearly better than")


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
