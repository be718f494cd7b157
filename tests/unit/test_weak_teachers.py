"""Teachers below the baseline: where the report says so, and what it advises."""

from pathlib import Path

from synthetic_results import WRONG, build, settings

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.scores import read_scores
from tagdistill.experiment.runs import Runs
from tagdistill.reporting.facts import read_runs
from tagdistill.reporting.report import build_report
from tagdistill.reporting.weak_teachers import weak_teachers


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


def test_a_teacher_that_is_hardly_below_the_baseline_is_not_named(tmp_path):
    made, _ = build(tmp_path / "made")
    runs = read_runs(made, Runs(settings()).models.values())
    assert weak_teachers(Analysis(read_scores(made, settings()), draws=10), runs) == []  # nl: 0.1 points
    far_apart = {f"students/baseline/seed-{seed}": {"nl": wrong} for seed, wrong in ((0, 98), (1, 50))}
    dutch = {"teachers/nl/crf/seed-0": {"nl": 100}}
    wrong = {model: found | (far_apart | dutch).get(model, {}) for model, found in WRONG.items()}
    results, _ = build(tmp_path / "far apart", wrong)  # 2.6 points, where the seeds differ by 4.8: a deviation of 3.4
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
