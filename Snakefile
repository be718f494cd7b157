"""tagdistill: from data sets to one multilingual tagger. `snakemake --cores N [--configfile config/small/ud.yaml]`."""

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/encode.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/student.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


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


rule all:
    """Everything, up to the report."""
    default_target: True
    input:
        # All of them: a file that another seed or objective adds is missing then, which alone plans the report anew.
        rules.report.output,


rule teachers:
    """All teachers."""
    input:
        [f"{PLAN.results}/teachers/{l}/{d}/seed-{s}/model" for l, d, s in PLAN.teachers()],


rule targets:
    """What the teachers say, for every corpus that a student learns from."""
    input:
        [
            PLAN.targets(language, decoder, corpus)
            for decoder in PLAN.teacher_decoders
            for language in PLAN.trained
            for corpus in PLAN.corpora(language)
        ],


rule students:
    """All students."""
    input:
        [f"{PLAN.results}/{model}/model" for model in PLAN.models() if model.startswith("students/")],


rule zero_shot:
    """The scores of all models on all languages, the zero-shot ones too."""
    input:
        [file for model in PLAN.models() for file in PLAN.metrics(model)],


rule export:
    """All students, each in a folder that stands alone."""
    input:
        [f"{PLAN.results}/{model.replace('students', 'export')}" for model in PLAN.models() if "students/" in model],


onsuccess:
    if any(job.rule.name == "report" for job in workflow.dag.jobs):
        logger.info(f"The report: {Path(rules.report.output.page).resolve()}")
