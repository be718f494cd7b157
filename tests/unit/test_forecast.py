"""The text of a plan, from jobs and from the benchmarks and results of earlier runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagdistill.artifacts.files import write_text
from tagdistill.errors import TagdistillError
from tagdistill.experiment.shared_files import Result
from tagdistill.workflow import estimates
from tagdistill.workflow.dry_run import Job, dry_run
from tagdistill.workflow.estimates import UNKNOWN, Estimate, seconds, size, total
from tagdistill.workflow.forecast import forecast, groups
from tagdistill.workflow.rerun_reasons import explain_key
from tagdistill.workflow.shown import Shown

MISSING = "Missing output files: x"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "mine/encode/k-en-train": 40,
        "mine/encode/k-fr-train": 80,
        "other/prepare/en-train": 6,
    }.items():
        write(f"benchmarks/{name}.tsv", f"s\th:m:s\n{value}\t0\n")
    for cached in (estimates._benchmarks, estimates._sizes):
        cached.cache_clear()
    return tmp_path


def write(file: str, text: str) -> None:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def encode(language: str, key: str = "k") -> Job:
    wildcards = {"features": key, "lang": language, "split": "train"}
    output = [f"results/mine/features/{key}/{language}/train.safetensors"]
    return Job("encode", wildcards, MISSING, output, f"benchmarks/mine/encode/{key}-{language}-train.tsv")


def prepare(language: str) -> Job:
    output = [f"results/mine/data/{language}/train.parquet"]
    wildcards = {"lang": language, "split": "train"}
    return Job("prepare", wildcards, MISSING, output, f"benchmarks/mine/prepare/{language}-train.tsv")


def test_a_job_takes_as_long_as_last_time_or_as_its_like(project: Path):
    assert seconds("encode", "benchmarks/mine/encode/k-fr-train.tsv") == Estimate(80)
    assert seconds("encode", "benchmarks/mine/encode/k-hi-train.tsv") == Estimate(60)
    assert seconds("prepare", "benchmarks/mine/prepare/en-train.tsv") == Estimate(6, foreign=True)
    assert seconds("encode", project / "benchmarks/mine/encode/k-fr-train.tsv") == Estimate(80)
    write("benchmarks/mine/score/twice.tsv", "s\th:m:s\n70\t0\n50\t0\n")
    assert seconds("score", "benchmarks/mine/score/twice.tsv") == Estimate(50)
    for benchmark in ("", "benchmarks/mine/report/report.tsv", "elsewhere/mine/encode/x.tsv"):
        assert seconds("report", benchmark) == UNKNOWN


def test_jobs_of_teachers_of_several_languages_have_benchmarks_in_folders_of_their_own():
    write("benchmarks/mine/score/all/ar-crf-0-train.tsv", "s\th:m:s\n30\t0\n")
    write("benchmarks/mine/score/ar-crf-0-train.tsv", "s\th:m:s\n10\t0\n")
    write("benchmarks/other/export_targets/all+fr/x/en-crf-train.tsv", "s\th:m:s\n7\t0\n")
    assert seconds("score", "benchmarks/mine/score/all/ar-crf-0-train.tsv") == Estimate(30)
    assert seconds("score", "benchmarks/mine/score/all/fr-crf-0-train.tsv") == Estimate(20)
    found = seconds("export_targets", "benchmarks/mine/export_targets/all/en-crf-train.tsv")
    assert found == Estimate(7, foreign=True)


def test_a_job_needs_as_much_disk_as_its_like_and_nothing_for_what_it_replaces():
    assert size(encode("hi")) == UNKNOWN
    for language, length in (("en", 1000), ("fr", 3000)):
        write(f"results/mine/features/k/{language}/train.safetensors", "x" * length)
        estimates._sizes.cache_clear()
    assert size(encode("hi")) == Estimate(2000)
    assert size(encode("hi", key="another")) == Estimate(2000, foreign=True)
    assert size(encode("hi", key="e-mix1+2+3-mean")) == Estimate(6000, foreign=True)  # a vector of each layer
    assert size(encode("en")) == Estimate(0)


def test_a_total_counts_what_is_unknown():
    whole = total([Estimate(1.0), UNKNOWN, Estimate(2.0, foreign=True)])
    assert (whole.value, whole.known, whole.unknown, whole.foreign) == (3.0, 2, 1, True)


def test_jobs_are_listed_by_stage_and_reason_and_those_that_name_files_are_no_jobs():
    names = Job("all", {}, MISSING, [], "")
    forced = Job("encode", {"lang": "de"}, "Forced execution", ["results/mine/features/k/de/train.safetensors"], "")
    found = groups([forced, encode("en"), names, prepare("en"), encode("hi")])
    assert [(group.rule, group.why, len(group.jobs)) for group in found] == [
        ("prepare", "not there yet", 1),
        ("encode", "forced, or was interrupted", 1),
        ("encode", "not there yet", 2),
    ]


def test_what_comes_first_follows_from_nothing_above():
    updated = "Input files updated by another job: results/mine/made_of.jsonl"
    report = Job("report", {}, updated, ["results/mine/report/index.html"], "")
    assert [group.why for group in groups([report])] == ["reads other files than before"]
    assert [group.why for group in groups([report, encode("en")])] == ["not there yet", "follows from the above"]


def test_the_text_of_a_plan():
    lines = forecast([encode("en"), encode("hi"), prepare("fr")], cores=2).splitlines()
    assert lines[0].split() == ["stage", "jobs", "time", "disk", "why,", "and", "for", "what"]
    assert lines[1].split(maxsplit=5) == ["prepare", "1", "6.0", "s*", "unknown", "not there yet (fr train)"]
    assert lines[2].split(maxsplit=6)[:5] == ["encode", "2", "1", "min", "40"]
    assert lines[2].endswith("unknown  not there yet (en train, hi train)")
    assert lines[4] == "3 jobs; about 1 min 46 s* of work, on 2 cores about 1 min 6 s*"
    assert (
        lines[5] == "* of other settings: another encoder, mode or number of updates may take a hundred times as long"
    )
    assert len(lines) == 6


def test_more_than_four_jobs_are_counted_and_unknown_times_said():
    unknown = Job("score", {"lang": "en"}, MISSING, ["results/mine/x"], "")
    text = forecast([unknown, *(encode(name) for name in "abcdef")])
    assert "(a train, b train, c train, d train and 2 more)" in text
    assert "7 jobs; about 6 min 0 s of work, on 1 core about 6 min 0 s; 1 of unknown time" in text
    assert forecast([]) == "Nothing to do: every result is there and up to date."


# -- what the last run, and other experiments, have made

OLD, NEW, CODE, MORE_CODE = "0" * 16, "1" * 16, "a" * 12, "b" * 12


def targets(language: str, key: str, *made_of: str) -> Result:
    return Result("export_targets", f"{language}-crf-train", key, (f"targets/{language}/crf/train.parquet",), made_of)


def job_of(result: Result, reason: str = MISSING) -> Job:
    language = result.job.split("-")[0]
    wildcards = {"lang": language, "decoder": "crf", "corpus": "train", "key": result.key}
    return Job(result.stage, wildcards, reason, result.files, result.benchmark)


def test_a_result_that_is_not_there_says_what_is_new_in_it_since_the_last_run():
    last = Shown("mine", [targets("en", OLD, "10", "torch", CODE), targets("fr", OLD, "10", "torch", CODE)])
    write_text(Path(last.record), last.text())
    now = [targets("en", NEW, "20", "torch", CODE), targets("fr", OLD, "10", "torch", CODE), targets("hi", NEW)]
    found = groups([job_of(result) for result in now], Shown("mine", now))
    assert {group.why: [job.name for job in group.jobs] for group in found} == {
        "distill.k: 10 → 20": ["en crf train"],
        "not there yet": ["fr crf train", "hi crf train"],
    }
    interrupted = job_of(now[0], "Incomplete output files: x")
    assert groups([interrupted], Shown("mine", now))[0].why == "was interrupted"
    Path(last.record).write_text("{broken", encoding="utf-8")
    assert groups([job_of(now[0])], Shown("mine", now))[0].why == "not there yet"


def test_times_of_the_last_run_are_those_of_other_settings_where_they_changed():
    def model(key: str, settings: str) -> Result:
        return Result("train_student", "posterior-0", key, ("students/posterior/seed-0/model",), (settings,))

    before = '{"settings": {"updates": 6}, "languages": ["en"]}'
    last = model(OLD, before)
    write_text(Path("results/mine/made_of.jsonl"), Shown("mine", [last]).text())
    write(f"benchmarks/mine/train_student/posterior-0.{OLD}.tsv", "s\th:m:s\n7\t0\n")
    for settings, star in ((before.replace("6", "600"), "*"), (before.replace('"en"', '"en", "fr"'), "")):
        now = model(NEW, settings)
        text = forecast([job_of(now)], 1, Shown("mine", [now]))
        assert f"1 job; about 7.0 s{star} of work, on 1 core about 7.0 s{star}" in text
        assert ("* of other settings" in text) == bool(star)


def test_why_a_key_is_another():
    settings = '{"settings": {"updates": 6}, "seed": 0}'
    more = '{"settings": {"updates": 7}, "seed": 0}'
    data = "c" * 64
    assert explain_key([settings, CODE], [more, CODE]) == "settings.updates: 6 → 7"
    assert explain_key([settings, CODE, data], [settings, CODE, "d" * 64]) == "the data file changed"
    assert explain_key([settings, CODE], [settings, MORE_CODE]) == "tagdistill's code changed"
    assert explain_key([settings, CODE], [settings, CODE]) == "follows from the above"


def test_results_that_other_experiments_show_are_told_with_their_names():
    mine = Shown("mine", [targets("en", OLD), targets("fr", OLD), targets("hi", OLD)])
    for name, results in {"other": mine.results[:2], "third": mine.results[:2], "far": [targets("en", NEW)]}.items():
        Shown(name, results).write()
    for result in mine.results[::2]:  # there are English and Hindi
        write(result.files[0], "x")
    assert forecast([], 1, mine).splitlines() == [
        "Nothing to do: every result is there and up to date.",
        "shared with other, third: 1 export_targets",
    ]
    mine.write()
    assert "shared with" in forecast([job_of(targets("hi", OLD))], 1, mine)
    assert "shared with mine" not in forecast([], 1, mine)


def test_a_job_takes_as_long_as_the_last_one_of_its_name_whatever_its_key():
    (old, new) = (targets("en", key) for key in (OLD, NEW))
    write(old.benchmark, "s\th:m:s\n90\t0\n")
    write(targets("fr", OLD).benchmark, "s\th:m:s\n10\t0\n")
    Shown("mine", [old, targets("fr", OLD), targets("hi", OLD)]).write()  # no Hindi yet: a link that leads nowhere
    assert "about 1 min 30 s of work" in forecast([job_of(new)], 1, Shown("mine", [new]))
    assert "about 50 s of work" in forecast([job_of(targets("de", NEW))], 1, Shown("mine", [new]))


def test_links_are_no_work():
    links = Job("links", {}, "Forced execution", ["results/mine/made_of.jsonl"], "")
    assert groups([links], Shown("mine", [])) == []


def test_a_plan_in_a_folder_without_the_workflow_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TagdistillError, match="change to the one that holds the Snakefile") as error:
        dry_run([])
    assert "No Snakefile found" in error.value.what
