"""tagdistill: from data sets to one multilingual tagger. `snakemake --cores N [--configfile config/small/ud.yaml]`."""

import gc

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")
if not workflow.modifier.parent_modifier:  # a workflow that uses these rules has an `onstart` of its own
    gc.disable()  # a plan is millions of objects that stay: looking for circles among them is a fifth of its time


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/encode.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/student.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/show.smk"


localrules:
    all,
    teachers,
    targets,
    students,
    zero_shot,
    export,
    fetch,
    convert_encoder,
    convert_vectors,
    links,
    show,
    show_model,


rule all:
    """Everything, up to the report."""
    default_target: True
    input:
        # All of them: a file that another seed or objective adds is missing then, which alone plans the report again.
        rules.report.output,
        shown=record,


rule teachers:
    """All teachers."""
    input:
        lambda w: PLAN.models("teacher"),
        shown=record,


rule targets:
    """The teachers' predictions for every corpus that a student learns from."""
    input:
        lambda w: PLAN.teacher_targets(),
        shown=record,


rule students:
    """All students."""
    input:
        lambda w: PLAN.models("student"),
        shown=record,


rule zero_shot:
    """The scores of all models on all languages, the zero-shot ones too."""
    input:
        lambda w: PLAN.metrics(),
        shown=record,


rule export:
    """All students, each in a folder that stands alone."""
    input:
        [PLAN.export(student.objective, student.seed) for student in PLAN.runs.students],
        shown=record,


remember_signatures(workflow.rules)
keep_locks_of_others()
accept_inputs_of_the_future(rule for rule in workflow.rules if Path(rule.snakefile).is_relative_to(PROJECT))


onstart:
    look_only_when_jobs_end(workflow.scheduler)
    stop_well(workflow.scheduler)
    start_of_run()
    if FORKS.start(workflow, PLAN.experiment.device, [*workflow.dag.needrun_jobs()]):
        logger.info(f"Jobs are forked from a process that imports what they need once ({VARIABLE}=no: not so).")
    gc.enable()
    remove_timestamps()


onerror:
    FORKS.end()
    remove_timestamps()


onsuccess:
    FORKS.end()
    remove_timestamps()
    if any(job.rule.name == "report" for job in workflow.dag.jobs):
        logger.info(f"The report: {Path(rules.report.output.page).resolve()}")
        if older := older_exports():
            logger.info(
                f"Exported before, of other settings, data or code: {', '.join(older)}. `snakemake export`, with"
            )
            logger.info("the same options, writes them again.")
