"""The settings, checked before anything is planned, and what every rule file needs."""

from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

from tagdistill.experiment.config import check_experiment, read_yaml
from tagdistill.data.sources.source import fetched_sources
from tagdistill.errors import TagdistillError
from tagdistill.experiment.layout import DOWNLOADS, VECTORS
from tagdistill.experiment.plan import Plan, files_json
from tagdistill.artifacts.code_key import code_key
from tagdistill.distill.losses import loss_modules
from tagdistill.workflow.resources import gpus, memory, minutes

PROJECT = Path(workflow.basedir)


def read_plan(config):
    """Return the plan of the experiment; a config file stands alone, the demo's settings never leak into another."""
    files = [Path(file) for file in workflow.configfiles]
    try:
        for file in files:
            read_yaml(file)  # finds what Snakemake's own reader passes over, such as a key written twice
        demo = PROJECT / "config" / "config.yaml"  # not there where another workflow takes these rules
        if not files and "name" not in config and demo.is_file():
            files = [demo]
            config = {**read_yaml(files[0]), **config}
        name = ", ".join(str(file) for file in files) or "config"
        plan = Plan(check_experiment(dict(config), name), PROJECT)
        plan.check_files(name)
    except TagdistillError as error:
        raise WorkflowError(str(error)) from None
    return plan


PLAN = read_plan(config)
GPU = gpus(PLAN.experiment.device)


wildcard_constraints:
    lang="|".join(PLAN.languages),
    split="train|dev|test|unlabelled",
    corpus="train|unlabelled",
    decoder="crf|softmax",
    objective="[a-z_+]+",
    seed=r"\d+",
    features="[A-Za-z0-9_+-]+",
    raw=f"(?:{'|'.join(fetched_sources())})/.+",


def raw_input(language, split):
    """Return the raw file of a split, if there is one; the checksum in `params` says whether a given one changed."""
    path = PLAN.raw(language, split)
    given = PLAN.languages[language].given(split)
    return [] if path is None else ancient(path) if given else path


def named(files):
    """Return a rule's inputs as named lists, without what has an option of its own."""
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
