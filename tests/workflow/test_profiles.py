"""The profiles: what the Slurm one repeats of the default one, and what its jobs ask for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import yaml
from projects import ROOT, Project, experiment

# The settings that decide which jobs run, and what a failure does: only one profile is read.
SHARED = (
    "rerun-triggers",
    "max-checksum-file-size",
    "keep-going",
    "rerun-incomplete",
    "show-failed-logs",
    "logger",
    "quiet",
)
MODELS = {"encode", "train_teacher", "score", "train_student", "evaluate_student", "evaluate_teacher"}


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workflow/profiles" / name / "config.yaml").read_text(encoding="utf-8"))


def test_the_slurm_profile_repeats_the_default_one():
    assert set(profile("default")) == set(SHARED)
    assert {key: profile("slurm")[key] for key in SHARED} == profile("default")


def test_every_key_of_a_profile_is_explained():
    for name in ("default", "slurm"):
        lines = (ROOT / "workflow/profiles" / name / "config.yaml").read_text(encoding="utf-8").splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            explained = before.lstrip().startswith("#") or "mem_mb" in before  # `runtime` shares the line above both
            assert explained or line.lstrip().startswith("#") or not line.strip(), f"{name}: {line}"


def test_a_run_on_a_cluster_asks_for_gpus_only_where_the_settings_say_cuda(fresh: Project):
    if not find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip("the Slurm plug-in is not installed: it belongs to the extra `cluster`")
    values = experiment()
    values["languages"]["en"] = {"source": "demo"}
    for device, number in (("cpu", 0), ("auto", 0), ("cuda", 1)):
        jobs = fresh.plan(values | {"device": device}, "--workflow-profile", "slurm").jobs
        asked = {job.rule: job.resources for job in jobs if job.output}
        assert {rule for rule, resources in asked.items() if "gpu" in resources} == MODELS
        assert {asked[rule]["gpu"] for rule in MODELS} == {number}
        assert asked["train_student"]["slurm_partition"] == "main"


def test_every_job_that_may_run_on_a_cluster_says_what_it_needs(fresh: Project):
    values = experiment()
    values["languages"]["en"] = {"source": "demo"}
    jobs = fresh.plan(values).jobs  # on one machine nothing but the rule's own requests
    silent = {job.rule for job in jobs if job.output and not {"mem_mb", "runtime"} <= set(job.resources)}
    assert silent == {"convert_encoder", "links"}  # local rules
