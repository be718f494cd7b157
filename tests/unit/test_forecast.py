"""The text of a plan, from jobs and from the benchmarks and results of earlier runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagdistill.workflow import estimates
from tagdistill.workflow.dry_run import Job
from tagdistill.workflow.estimates import UNKNOWN, Estimate, seconds, size, total
from tagdistill.workflow.forecast import forecast, groups

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
    for benchmark in ("", "benchmarks/mine/report/report.tsv", "elsewhere/mine/encode/x.tsv"):
        assert seconds("report", benchmark) == UNKNOWN


def test_a_job_needs_as_much_disk_as_its_like_and_nothing_for_what_it_replaces():
    assert size(encode("hi")) == UNKNOWN
    for language, length in (("en", 1000), ("fr", 3000)):
        write(f"results/mine/features/k/{language}/train.safetensors", "x" * length)
        estimates._sizes.cache_clear()
    assert size(encode("hi")) == Estimate(2000)
    assert size(encode("hi", key="another")) == Estimate(2000, foreign=True)
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
        ("encode", "forced", 1),
        ("encode", "not there yet", 2),
    ]


def test_the_text_of_a_plan():
    lines = forecast([encode("en"), encode("hi"), prepare("fr")], cores=2).splitlines()
    assert lines[0].split() == ["stage", "jobs", "time", "disk", "why,", "and", "for", "what"]
    assert lines[1].split(maxsplit=5) == ["prepare", "1", "6.0", "s*", "unknown", "not there yet (fr train)"]
    assert lines[2].split(maxsplit=6)[:5] == ["encode", "2", "1", "min", "40"]
    assert lines[2].endswith("unknown  not there yet (en train, hi train)")
    assert lines[4] == "3 jobs; about 1 min 46 s of work, on 2 cores about 1 min 6 s"
    assert lines[5] == "* from other experiments' benchmarks: other settings take other times"
    assert len(lines) == 6


def test_more_than_four_jobs_are_counted_and_unknown_times_said():
    unknown = Job("score", {"lang": "en"}, MISSING, ["results/mine/x"], "")
    text = forecast([unknown, *(encode(name) for name in "abcdef")])
    assert "(a train, b train, c train, d train and 2 more)" in text
    assert "7 jobs; about 6 min 0 s of work, on 1 core about 6 min 0 s; 1 of unknown time" in text
    assert forecast([]) == "Nothing to do: every result is there and up to date."
