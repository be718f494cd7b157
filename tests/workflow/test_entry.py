"""The entry: which config is read, what its errors look like, the named targets, the size of the plan, the style."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT, Jobs, Project, experiment, output, write_data

REAL_DATA = os.environ.get("TAGDISTILL_REAL_DATA")
CONFIGS = sorted(path.relative_to(ROOT) for path in (ROOT / "config").rglob("*.yaml"))


def demo_only() -> dict[str, Any]:
    values = yaml.safe_load((ROOT / "config/tiny.yaml").read_text(encoding="utf-8"))
    values["distill"]["objectives"] = ["baseline", "token", "posterior", "structural"]
    return values


def folders(jobs: Jobs) -> set[str]:
    """Return the folders of results/ that jobs write to."""
    return {file.split("/")[1] for job in jobs.jobs for file in job.output if file.startswith("results/")}


# -- which config


def test_without_a_config_file_the_demo_is_planned(fresh: Project):
    demo = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    jobs = fresh.plan(None)
    assert jobs.languages() == {*demo["languages"], *demo["zero_shot"], *demo["teachers"]}
    assert all("/tiny/" not in file for job in jobs.jobs for file in job.output)


def test_a_config_file_stands_alone(fresh: Project):
    jobs = fresh.plan(Path("config/tiny.yaml"))
    assert jobs.languages() == {"en", "es", "de"}
    assert folders(jobs) == {"tiny", "shared"}


def test_norwegian_is_a_language_as_all_others_are(fresh: Project):
    values = demo_only()
    values["languages"] = {"no": {"source": "demo", "code": "en"}}
    assert fresh.plan(values).of("evaluate_teacher", "lang") == [("no",)] * 2  # of both decoders


def test_an_override_changes_one_setting_of_the_demo_or_of_a_file(fresh: Project):
    assert fresh.plan(None, "--config", "seeds=[7]").of("train_student", "seed")[0] == ("7",)
    jobs = fresh.plan(Path("config/tiny.yaml"), "--config", "name=renamed")
    assert folders(jobs) == {"renamed", "shared"}


def test_root_is_where_relative_paths_start(fresh: Project, tmp_path: Path):
    write_data(tmp_path / "elsewhere/data/en")
    file = fresh.write(experiment())
    refused = fresh.snakemake(file, "--dry-run")
    assert refused.returncode == 1
    assert f"{file}: languages.en.train: no such file: data/en/train.conll" in refused.stdout
    jobs = fresh.plan(file, "--config", f"root={tmp_path / 'elsewhere'}")
    assert jobs.count["prepare"] == 8


def test_a_run_from_another_folder_finds_what_the_check_finds_there(fresh: Project, tmp_path: Path):
    file = fresh.write(experiment() | {"root": "mine"})
    write_data(tmp_path / "mine/data/en")
    there = replace(fresh, path=tmp_path, warm=False)
    said = output(there, "config", "check", str(file), "--no-data")
    done = there.snakemake(file, "--snakefile", str(fresh.path / "Snakefile"), "--dry-run")
    assert said.startswith(f"{file}: fine.") and done.returncode == 0, done.stdout[-4000:]
    refused = fresh.snakemake(file, "--dry-run", "--directory", str(fresh.path))
    assert f"{file}: languages.en.train: no such file: mine/data/en/train.conll" in refused.stdout


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_config_of_the_project_plans(config: Path, fresh: Project, tmp_path: Path):
    values = yaml.safe_load((ROOT / config).read_text(encoding="utf-8"))
    sources = [
        language.get("source", "path")
        for group in ("languages", "zero_shot")
        for language in values.get(group, {}).values()
    ]
    if "path" in sources and not REAL_DATA:
        pytest.skip("TAGDISTILL_REAL_DATA is not set: the files that this config names are not here")
    override = ("--config", f"root={REAL_DATA}") if "path" in sources else ()
    if brought := files_to_bring(values):
        refused = fresh.snakemake(config, "--dry-run", "--config", f"root={tmp_path}")
        assert refused.returncode == 1 and "may not be passed on" in refused.stdout
        for file in brought:  # a plan reads their names, and what they hold as one checksum
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        override = ("--config", f"root={tmp_path}")
    jobs = fresh.plan(config, *override)
    assert jobs.count["train_student"] == len(values["distill"]["objectives"]) * len(values.get("seeds", [0]))
    assert jobs.count["report"] == 1


def files_to_bring(values: dict[str, Any]) -> list[str]:
    """Return the files of a config that may not be passed on, and so are neither here nor fetched."""
    own = [x for x in values["languages"].values() if x.get("source") in ("conll2003", "semeval2016")]
    splits = [language[split] for language in own for split in ("train", "dev", "test")]
    return [split if isinstance(split, str) else split["path"] for split in splits]


def test_the_paper_s_experiments_plan_what_its_tables_need(fresh: Project):
    jobs = fresh.plan(Path("config/ud.yaml"))
    assert jobs.count["fetch"] == 8 * 3 - 1 + 24  # Slovenian has no dev set of its own
    assert jobs.count["train_teacher"] == 8 * 2 and jobs.count["train_student"] == 8 * 5
    assert jobs.count["convert_encoder"] == 1 and jobs.count["convert_vectors"] == 8
    raw = {job.wildcards["raw"] for job in jobs.jobs if job.rule == "fetch"}
    assert {x for x in raw if "Slovenian" in x} == {f"ud/Slovenian-SST/r2.5/{s}.conllu" for s in ("train", "test")}


# -- errors

MISTAKES = {
    "an unknown key": ("  k: 4\n", "  kk: 4\n", "distill.kk: unknown key\n  Did you mean 'k'?"),
    "an unknown objective": ("- baseline\n", "- basline\n", "cannot be 'basline'\n  Did you mean 'baseline'?"),
    "a key twice": ("task: ner\n", "task: ner\ntask: ner\n", "key 'task' is written twice"),
    "an unknown language": ("  es:\n", "  xx:\n", "languages.xx: the demo corpus has no language 'xx'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_config_ends_in_one_message(mistake: str, fresh: Project):
    before, after, says = MISTAKES[mistake]
    file = fresh.write(demo_only())
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    done = fresh.snakemake(file, "--dry-run")
    assert done.returncode == 1
    assert f"{file}" in done.stdout and says in done.stdout
    assert "Traceback" not in done.stdout and "site-packages" not in done.stdout


def test_a_file_that_snakemake_itself_cannot_read_ends_in_its_message(fresh: Project, tmp_path: Path):
    # Snakemake reads the file before our code runs: `tagdistill config check` names the line, Snakemake does not.
    for text, says in (("name: [a\nx: }\n", "not valid JSON or YAML"), ("- a\n", "keys at top level"), ("", "keys at")):
        (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
        done = fresh.snakemake(tmp_path / "broken.yaml", "--dry-run")
        assert (done.returncode, says in done.stdout, "Traceback" in done.stdout) == (1, True, False)


# -- targets


TARGETS = {
    "teachers": {"convert_encoder": 1, "prepare": 8, "encode": 2, "train_teacher": 4},
    "targets": {"train_teacher": 4, "score": 8, "export_targets": 8},
    "students": {"train_student": 4, "train_teacher": 4, "score": 8, "export_targets": 8},
    "zero_shot": {"train_student": 4, "evaluate_student": 4, "evaluate_teacher": 4},
    "report": {"train_student": 4, "evaluate_student": 4, "evaluate_teacher": 4, "data_report": 3, "repeats": 1},
    "all": {"train_student": 4, "evaluate_student": 4, "evaluate_teacher": 4, "data_report": 3, "repeats": 1},
    "export": {"export_student": 4, "report": 1},
}
ABSENT = {
    "teachers": {"score", "train_student", "evaluate_teacher", "report"},
    "targets": {"train_student", "evaluate_teacher", "report"},
    "students": {"evaluate_student", "report"},
    "zero_shot": {"data_report", "repeats", "report"},
    "report": {"export_student"},
    "all": {"export_student"},
    "export": set(),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_named_target_plans_what_it_says(target: str, fresh: Project):
    jobs = fresh.plan(demo_only(), target)
    assert TARGETS[target].items() <= jobs.count.items()
    assert not ABSENT[target] & set(jobs.count)


def test_one_file_may_be_asked_for(fresh: Project):
    jobs = fresh.plan(demo_only(), "results/tiny/targets/es/crf/train.parquet")
    assert jobs.count == {
        "convert_encoder": 1,
        "prepare": 4,
        "encode": 1,
        "train_teacher": 1,
        "score": 1,
        "export_targets": 1,
    }
    assert jobs.languages() == {"es"}


def test_objectives_without_teachers_train_none(fresh: Project):
    values = demo_only()
    values["distill"]["objectives"] = ["baseline", "softmax"]
    jobs = fresh.plan(values)
    assert "train_teacher" not in jobs.count and jobs.count["train_student"] == 2


# -- size and style


def test_a_hundred_languages_are_planned_in_ten_seconds(fresh: Project):
    values = demo_only()
    values["languages"] = {f"l{number:03d}": {"source": "demo", "code": "es"} for number in range(100)}
    values["distill"]["objectives"] = ["baseline", "posterior"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = replace(fresh, warm=False).plan(values)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # other work does not count
    assert jobs.count == {
        "convert_encoder": 1,
        "prepare": 401,
        "data_report": 101,
        "repeats": 1,
        "encode": 101,
        "train_teacher": 100,
        "score": 200,
        "export_targets": 200,
        "train_student": 2,
        "evaluate_student": 2,
        "evaluate_teacher": 100,
        "report": 1,
    }
    assert seconds <= 10


def test_the_workflow_is_clean_for_snakemake_lint(fresh: Project):
    done = fresh.snakemake(None, "--lint")
    assert done.returncode == 0, done.stdout


def test_the_workflow_is_formatted(fresh: Project):
    snakefmt = shutil.which("snakefmt", path=Path(sys.executable).parent)
    if not snakefmt:
        pytest.skip("snakefmt is not installed: it belongs to the extra `dev`")
    # Run in the project's own folder, whose pyproject.toml may set the length of a line.
    done = subprocess.run(
        [snakefmt, "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
