"""The settings, checked before anything is planned, and what every rule file needs."""

import os
import re
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.settings.types import RerunTrigger
from snakemake_interface_executor_plugins.settings import ExecMode

from tagdistill.artifacts.code_key import code_key
from tagdistill.data.sources.source import fetched_sources
from tagdistill.errors import TagdistillError
from tagdistill.experiment.config import check_experiment, read_yaml
from tagdistill.experiment.layout import DOWNLOADS, ENCODERS, VECTORS, encoder_folder
from tagdistill.experiment.plan import Plan, files_json
from tagdistill.workflow.arguments import Argument
from tagdistill.workflow.resources import gpus, memory, minutes

PROJECT = Path(workflow.basedir)
os.environ.update(TAGDISTILL_PROJECT=str(PROJECT))  # read by envs/*.post-deploy.sh
# Inputs that are known by their key: folders, of which Snakemake would compare the times alone.
FOLDERS = ("encoder", "vectors")


def read_plan(config):
    """Return the plan of the experiment; a config file stands alone, the demo's settings never leak into another."""
    files = [Path(file) for file in workflow.configfiles]
    try:
        for file in files:
            read_yaml(file)  # finds mistakes that Snakemake's own reader ignores, such as a key written twice
        demo = PROJECT / "config" / "config.yaml"  # missing where another workflow uses these rules
        if not files and "name" not in config and demo.is_file():
            files = [demo]
            config = {**read_yaml(files[0]), **config}
        if not workflow.modifier.skip_configfile:  # Snakemake merges mappings of `--config` into those of the file
            config = {**config, **workflow.config_settings.config}
        name = ", ".join(str(file) for file in files) or "config"
        plan = Plan(check_experiment(dict(config), name), PROJECT)
        plan.check_files(name)
    except TagdistillError as error:
        raise WorkflowError(str(error)) from None
    return plan


PLAN = read_plan(config)
FILES = PLAN.layout
GPU = gpus(PLAN.experiment.device)


wildcard_constraints:
    lang="|".join(PLAN.runs.languages),
    split="train|dev|test|unlabelled",
    corpus="train|unlabelled",
    decoder="crf|softmax",
    objective="|".join(re.escape(name) for name in PLAN.runs.objectives),
    seed=r"\d+",
    features="[A-Za-z0-9_+-]+",
    raw=f"(?:{'|'.join(fetched_sources())})/.+",


def is_up_to_date(outputs, key):
    """Return whether all results are there, and made by a job of this key."""
    if not all(Path(output).exists() for output in outputs):
        return False
    record = workflow.persistence.metadata(IOFile(outputs[0]))
    return record is not None and any(key in str(value) for value in record.params or ())


def may_rerun_anyway():
    """Return whether Snakemake may run a job again whose key is unchanged: then it needs all of its inputs."""
    settings = workflow.dag_settings
    triggers = {RerunTrigger.CODE, RerunTrigger.INPUT} & set(workflow.rerun_triggers)
    forced = settings.forceall or settings.forcerun or workflow.exec_mode != ExecMode.DEFAULT
    return bool(forced or triggers or workflow.deployment_settings.deployment_method)


def needed(files, outputs, key, known_by_key=FOLDERS):
    """Return the inputs of a job, by name: of one whose results are up to date only files that are there.

    Snakemake runs a job again where an input has to be made again. Results that are known by their key do not need that:
    an encoder, a download or features that were removed, and are made again for another job, run nothing else again.
    """
    if may_rerun_anyway() or not is_up_to_date(outputs, key):
        return files
    there = {name: [path for path in paths if Path(path).exists()] for name, paths in files.items()}
    return {name: [ancient(path) for path in paths] if name in known_by_key else paths for name, paths in there.items()}


def trained(folder):
    """Return the outputs of the training of a model."""
    return [f"{folder}/model", f"{folder}/metrics.jsonl", f"{folder}/training.json"]


def named(files):
    """Return a rule's inputs as named lists, without those that have an option of their own."""
    return {
        name: [files[name]] if isinstance(files[name], str) else files[name]
        for name in files.keys()
        if name not in ("model", "encoder")
    }


def option(name, values):
    """Return a command line option for an input that may be absent."""
    values = [values] if isinstance(values, str) else list(values)
    return f"{name} {quote(values[0])}" if any(values) else ""


def encoder_option(wildcards, input):
    """Return the option that names the converted encoder, where the job runs it."""
    return option("--encoder", input.get("encoder", []))


def downloaded(wildcards):
    """Return the raw file of a split where it is fetched; a file of the user's own is no input: it may be moved."""
    split = wildcards.lang, wildcards.split
    raw = [] if PLAN.given(*split) else [PLAN.raw(*split) or ""]
    return needed({"raw": list(filter(None, raw))}, [FILES.data(*split)], PLAN.keys.corpus(*split))["raw"]


def left_out_tests(wildcards):
    """Return the test corpora whose sentences are left out of a split."""
    split = wildcards.lang, wildcards.split
    files = {"tests": PLAN.left_out_tests(wildcards.split)}
    return needed(files, [FILES.data(*split)], PLAN.keys.corpus(*split))["tests"]


def left_out(input):
    """Return the test corpora that a job is given, as its --files, or none."""
    tests = input.get("tests", [])
    return files_json(named({"tests": tests})) if tests else ""


def in_place(wildcards):
    """Return the options for a file of the user's own: where it lies now, and its path in the config, for messages."""
    split = PLAN.given(wildcards.lang, wildcards.split)
    if not split:
        return ""
    return f"{option('--source', PLAN.raw(wildcards.lang, wildcards.split))} {option('--path', split.path)}"


def test_files(model):
    """Return the inputs of the evaluation of a model (its name), without the model itself."""
    tests = PLAN.runs.tests_of(PLAN.runs.models[model])
    outputs = [*FILES.metrics(model, tests), *FILES.predictions(model, tests)]
    return needed(PLAN.test_inputs(model), outputs, PLAN.keys.evaluation(model)) if outputs else PLAN.test_inputs(model)


def remove_timestamps():
    """Remove what Snakemake leaves in exported folders, which are passed on: they keep their own times."""
    for file in Path(FILES.results).glob("export/*/*/.snakemake_timestamp"):
        file.unlink(missing_ok=True)
