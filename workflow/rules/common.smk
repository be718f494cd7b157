"""The settings, checked before anything is planned, and what every rule file needs."""

import os
import re
from functools import cache
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.settings.types import RerunTrigger
from snakemake_interface_executor_plugins.settings import ExecMode

from tagdistill.artifacts.code_key import code_key
from tagdistill.artifacts.environment import start_of_run
from tagdistill.artifacts.files import sha256_json
from tagdistill.data.sources.source import fetched_sources
from tagdistill.errors import TagdistillError
from tagdistill.experiment.config import check_experiment, read_yaml
from tagdistill.experiment import layout
from tagdistill.experiment.layout import DOWNLOADS, ENCODERS, JOBS, KEY, VECTORS, encoder_folder, shared
from tagdistill.experiment.job_keys import write_weights
from tagdistill.experiment.plan import Plan, files_json
from tagdistill.workflow.arguments import Argument
from tagdistill.workflow.clocks import accept_inputs_of_the_future
from tagdistill.workflow.forking.forks import VARIABLE, Forks
from tagdistill.workflow.resources import gpus, memory, minutes
from tagdistill.workflow.run_locks import keep_locks_of_others
from tagdistill.workflow.scheduling import look_only_when_jobs_end, stop_well
from tagdistill.workflow.signatures import remember_signatures
from tagdistill.workflow.shown import RECORD as RECORD_NAME
from tagdistill.workflow.shown import Shown

PROJECT = Path(workflow.basedir)
os.environ.update(TAGDISTILL_PROJECT=str(PROJECT))  # read by envs/*.post-deploy.sh
if set("{}") & set(str(PROJECT)):
    raise WorkflowError(
        f"{PROJECT}: Snakemake replaces what stands in braces in the path of a project: rename the folder."
    )


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
        plan = Plan(check_experiment(dict(config), name), Path.cwd())  # as `tagdistill config check` does
        plan.check_files(name)
    except TagdistillError as error:
        raise WorkflowError(str(error)) from None
    return plan


PLAN = read_plan(config)
FILES = PLAN.files
RECORD = f"{PLAN.results}/{RECORD_NAME}"
GPU = gpus(PLAN.experiment.device)
FORKS = Forks()


wildcard_constraints:
    lang="|".join([*PLAN.runs.languages, *PLAN.runs.shared]),  # of a teacher: its language, or its own name
    text="(?:/(?:{}))?".format("|".join(PLAN.runs.languages)),  # whose text it scores, where not its own
    average=r"(?:/[A-Za-z0-9_@.+-]+)?",  # teachers of targets that are not the language's own teacher
    split="train|dev|test|unlabelled",
    corpus="train|unlabelled",
    decoder="crf|softmax",
    objective="|".join(re.escape(name) for name in PLAN.runs.objectives),
    seed=r"\d+",
    fold=r"\d+",
    features="[A-Za-z0-9_+-]+",
    key=KEY.pattern,
    raw=f"(?:{'|'.join(fetched_sources())})/.+",


# -- shared results: their key is in their path
#
# Snakemake compares a job's `params` with those of its last run, but for functions of `input` or `output`. All params of
# these jobs are such functions, needed or not: what is compared is the key.


def log_of(stage):
    """Return the log of the jobs of a stage: among those of the experiment that runs them."""
    return f"logs/{PLAN.name}/{stage}/{JOBS[stage]}.{{key}}.log"


def benchmark_of(stage):
    """Return the benchmark of the jobs of a stage: it is shared, as their results are."""
    return layout.benchmark(stage, JOBS[stage], "{key}")


def may_rerun_anyway():
    """Return whether Snakemake may run a job again whose results are there: then it needs all of its inputs."""
    settings = workflow.dag_settings
    triggers = {RerunTrigger.CODE, RerunTrigger.INPUT} & set(workflow.rerun_triggers)
    forced = settings.forceall or settings.forcerun or workflow.exec_mode != ExecMode.DEFAULT
    return bool(forced or triggers or workflow.deployment_settings.deployment_method)


def inputs(files, up_to_date):
    """Return the inputs of a job, by name: of one whose results are up to date only files that are there.

    Snakemake runs a job again where an input has to be made again. An encoder, a download or features that were removed,
    and are made again for another job, must run nothing else again.
    """
    made = {name: list(map(layout.output_of, paths)) for name, paths in files.items()}
    if may_rerun_anyway() or not up_to_date:
        return made
    there = {name: [path for path in paths if Path(path).exists()] for name, paths in made.items()}
    return {name: [ancient(path) for path in paths] for name, paths in there.items()}


def nothing_of(name):
    """Return an input that is never there, whose name tells a user why; an error would come with a traceback."""
    return f"(the config {PLAN.name} has no result {name})"


def needed(wildcards, files, outputs):
    """Return the inputs of the job that makes shared results: they are up to date if they are there."""
    if any(wildcards.key not in Path(output).parts for output in outputs):
        return {name: [nothing_of(wildcards.key)] for name in files}
    return inputs(files, all(Path(output).exists() for output in outputs))


def is_up_to_date(output, key):
    """Return whether a result of the experiment's own is there, and made by a job of this key.

    Where links are written first, the report is written again, and what is made of it: then all of its inputs are needed.
    """
    return shown_is_current() and was_made_with(output, key)


def was_made_with(output, key):
    """Return whether a result is there, and made by a job of this key."""
    made = Path(output).exists() and workflow.persistence.metadata(IOFile(output))
    return bool(made) and any(key in str(value) for value in made.params or ())


def older_exports():
    """Return the exported students that are not of this config, its data and code: a run does not write them again."""
    exports = {PLAN.export(x.objective, x.seed): x for x in PLAN.runs.students}
    there = {folder: student for folder, student in exports.items() if Path(folder).exists()}
    return [x for x, of in there.items() if not was_made_with(x, PLAN.keys.export(of.objective, of.seed))]


# -- what results/NAME shows of them


@cache
def shown():
    """Return the links of the experiment, after checking that nothing else is in their place."""
    links = Shown(PLAN.name, tuple(FILES.results()))
    try:
        links.check()
    except TagdistillError as error:
        raise WorkflowError(str(error)) from None
    return links


@cache
def shown_is_current():
    """Return whether results/NAME shows what the config means, as the run begins."""
    return shown().is_current()


def record(wildcards):
    """Return the record of what results/NAME shows, to be written again; none where it shows what the config means.

    As an ancient file it might be made again all the same, after a kill; then Snakemake would run nothing that reads it.
    """
    stored = workflow.storage_settings.default_storage_provider  # then the links beside the report are seen by its job
    if workflow.exec_mode == ExecMode.DEFAULT and not stored:  # else a single job: the run has written the links
        if shown_is_current():
            return []
        workflow.dag.forcefiles.add(RECORD)
    return RECORD


def to_show(wildcards):
    """Return the shared result of a place below results/NAME; a link that leads elsewhere is written again."""
    place = wildcards.place
    if place not in shown().files:
        return nothing_of(place)
    if not shown().is_right(place):
        workflow.dag.forcefiles.add(f"{PLAN.results}/{place}")
    return ancient(layout.output_of(shown().files[place]))


if workflow.exec_mode == ExecMode.DEFAULT:
    shown()


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


def record_options(wildcards, input):
    """Return the options that name the record, where links are to be written: it must be that of this config.

    In a store it may be of other settings, of a run in another folder.
    """
    file = option("--record", input.get("shown", []))
    return f"{file} --made-of {sha256_json(shown().text())}" if file else ""


def encoder_option(wildcards, input):
    """Return the option that names the converted encoder, where the job runs it."""
    return option("--encoder", input.get("encoder", []))


def downloaded(wildcards):
    """Return the raw file of a split where it is fetched; a file of the user's own is no input: it may be moved."""
    split = wildcards.lang, wildcards.split
    raw = [] if PLAN.given(*split) else [PLAN.raw(*split) or ""]
    return needed(wildcards, {"raw": list(filter(None, raw))}, [FILES.corpus(*split)])["raw"]


def left_out_tests(wildcards):
    """Return the test corpora whose sentences are left out of a split."""
    files = {"tests": PLAN.left_out_tests(wildcards.lang, wildcards.split)}
    return needed(wildcards, files, [FILES.corpus(wildcards.lang, wildcards.split)])["tests"]


def left_out(input):
    """Return the test corpora that a job is given, as its --files, or none."""
    tests = input.get("tests", [])
    return files_json(named({"tests": tests})) if tests else ""


def in_place(wildcards):
    """Return the options for a file of the user's own: where it lies now, its path in the config, for messages, and what
    it held when it was planned with: it may be edited while the run goes on."""
    split = PLAN.given(wildcards.lang, wildcards.split)
    if not split:
        return ""
    place, planned = PLAN.raw(wildcards.lang, wildcards.split), PLAN.raw_sha256(wildcards.lang, wildcards.split)
    return f"{option('--source', place)} {option('--path', split.path)} --sha256 {planned}"


def score_job(wildcards):
    """Return the teacher, its decoder and seed, and the language and split of a text that it scores."""
    language = wildcards.text.removeprefix("/") or wildcards.lang
    return wildcards.lang, wildcards.decoder, int(wildcards.seed), language, wildcards.corpus


def targets_job(wildcards):
    """Return the language, decoder, split and teachers of targets."""
    mixture = layout.mixture_of(wildcards.average, wildcards.lang)
    return wildcards.lang, wildcards.decoder, wildcards.corpus, mixture


def test_files(wildcards, model):
    """Return the inputs of the evaluation of a model (its name)."""
    planned = PLAN.runs.models[model]
    files = {"model": FILES.trained(model)[:1], **PLAN.test_inputs(model)}
    return needed(wildcards, files, [*FILES.metrics(planned), *FILES.predictions(planned)])


def remove_timestamps():
    """Remove what Snakemake leaves in exported folders, which are passed on: they keep their own times."""
    for file in Path(PLAN.results).glob("export/*/*/.snakemake_timestamp"):
        file.unlink(missing_ok=True)
