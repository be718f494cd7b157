"""Compute nodes may have no network: what needs it is a local rule, and all the rest has run without one."""

from __future__ import annotations

import re
from pathlib import Path

from projects import ROOT, Project, experiment, new_project, read_jobs

NETWORK = {"fetch", "convert_encoder", "convert_vectors"}  # the rules that may touch the network
SHOWN = {"links", "show", "show_model"}  # local rules that write links


def local_rules() -> set[str]:
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    (block,) = re.findall(r"^localrules:\n((?:    .*\n)+)", text, flags=re.MULTILINE)
    return set(re.findall(r"\w+", block))


def rules_with_files() -> set[str]:
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "workflow/rules").glob("*.smk")]
    return {name for text in texts for name in re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, flags=re.MULTILINE)}


def test_the_rules_that_may_touch_the_network_are_the_local_rules_that_make_files(fresh: Project):
    listed = fresh.snakemake(None, "--list-rules", "--quiet", "all").stdout.splitlines()
    rules = {line.split()[0] for line in listed if line.strip()}
    assert rules >= local_rules() | rules_with_files()
    assert local_rules() & rules_with_files() == NETWORK | SHOWN


def test_every_other_rule_runs_without_a_network(finished: Project, copied: Project):
    target = "results/tiny/export/baseline/seed-0"
    log, jobs = copied.path / "offline.log", copied.path / "jobs"
    config = copied.write(experiment())
    logged = ("--logger", "tagdistill", "--logger-tagdistill-file", str(jobs))
    done = copied.snakemake(config, "--cores", "2", target, *logged, **copied.offline(log))
    assert done.returncode == 0, done.stdout[-4000:]
    assert (copied.path / target / "tagger.json").is_file() and not list((copied.path / target).rglob(".snakemake*"))
    # Both runs, that of the finished project and this one: they write to the same files.
    ran = {job.rule for job in read_jobs(jobs.read_text(encoding="utf-8").splitlines()) if job.output}
    # Teachers of several languages and of folds, which this experiment has not, are made by the commands of the others.
    others = {"evaluate_shared_teacher", "train_fold_teacher"}
    assert ran == rules_with_files() - NETWORK - SHOWN - others | (ran & (NETWORK | SHOWN))
    lines = log.read_text(encoding="utf-8").splitlines()
    ended = [line for line in lines if line.startswith("ended")]
    for stage in ("prepare", "encode", "train-student", "score", "evaluate-model", "report", "export"):
        assert any(f"tagdistill {stage} " in line for line in ended), stage
    assert [line for line in lines if not line.startswith("ended")] == []


def test_the_network_is_really_off(tmp_path: Path):
    project = new_project(tmp_path / "project")
    log = tmp_path / "offline.log"
    values = experiment()
    swedish = {"source": "ud", "treebank": "Swedish-Talbanken", "release": "r2.15", "splits": ["train", "test"]}
    values["languages"] = {"sv": swedish}
    values |= {"task": "pos", "labels": "upos", "zero_shot": {}}
    done = project.snakemake(project.write(values), "--cores", "1", "teachers", **project.offline(log))
    assert done.returncode == 1
    assert "Error in rule fetch" in done.stdout and "Traceback" not in done.stdout
    assert any(line.startswith("attempt") for line in log.read_text(encoding="utf-8").splitlines())
