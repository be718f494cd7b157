"""Tables, figures, one page for people, and students that leave the project."""

from tagdistill.evaluation.table_names import TABLES


rule report:
    """Write the tables, the figures, the HTML report and the model cards."""
    input:
        unpack(
            lambda w: inputs(
                PLAN.report_inputs(), is_up_to_date(f"{PLAN.results}/report/index.html", PLAN.keys.report())
            )
        ),
        shown=record,
    output:
        page=report(f"{PLAN.results}/report/index.html", caption="../report/page.rst", category="Report"),
        in_language=report(
            f"{PLAN.results}/figures/in_language.svg",
            caption="../report/in_language.rst",
            category="Figures",
            labels={"figure": "in_language"},
        ),
        zero_shot=report(
            f"{PLAN.results}/figures/zero_shot.svg",
            caption="../report/zero_shot.rst",
            category="Figures",
            labels={"figure": "zero_shot"},
        ),
        gap_closed=report(
            f"{PLAN.results}/figures/gap_closed.svg",
            caption="../report/gap_closed.rst",
            category="Figures",
            labels={"figure": "gap_closed"},
        ),
        training=report(
            f"{PLAN.results}/figures/training.svg",
            caption="../report/training.rst",
            category="Figures",
            labels={"figure": "training"},
        ),
        teachers=report(
            f"{PLAN.results}/figures/teachers.svg",
            caption="../report/teachers.rst",
            category="Figures",
            labels={"figure": "teachers"},
        ),
        data=report(
            f"{PLAN.results}/figures/data.svg",
            caption="../report/data.rst",
            category="Figures",
            labels={"figure": "data"},
        ),
        time=report(
            f"{PLAN.results}/figures/time.svg",
            caption="../report/time.rst",
            category="Figures",
            labels={"figure": "time"},
        ),
        tables=report(
            expand(f"{PLAN.results}/tables/{{name}}.tsv", name=TABLES),
            caption="../report/tables.rst",
            category="Tables",
        ),
        cards=report(
            expand(
                f"{PLAN.results}/report/cards/{{objective}}-seed-{{seed}}.md",
                objective=PLAN.runs.objectives,
                seed=PLAN.experiment.seeds,
            ),
            caption="../report/card.rst",
            category="Model cards",
        ),
    log:
        f"logs/{PLAN.name}/report.log",
    benchmark:
        f"benchmarks/{PLAN.name}/report/report.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        config=lambda w: Argument(PLAN.specs.report()),  # not a string: it may hold braces
        encoder=encoder_option,
        record=record_options,
        results=lambda w, output: str(Path(output.page).parents[1]),
        benchmarks=f"benchmarks/{PLAN.name}",
        code=code_key(*PLAN.modules.report()),
        key=PLAN.keys.report(),
    message:
        "Write tables, figures and the report"
    shell:
        "tagdistill report --config {params.config:q} --results {params.results:q} {params.record} "
        "{params.encoder} --benchmarks {params.benchmarks:q} > {log:q} 2>&1"


rule export_student:
    """A student in a folder that stands alone: its weights and those of its encoder, or graphs, and its model card."""
    input:
        unpack(
            lambda w: inputs(
                PLAN.export_inputs(w.objective, w.seed),
                is_up_to_date(PLAN.export(w.objective, w.seed), PLAN.keys.export(w.objective, int(w.seed))),
            )
        ),
        card=f"{PLAN.results}/report/cards/{{objective}}-seed-{{seed}}.md",
    output:
        directory(PLAN.export("{objective}", "{seed}")),
    log:
        f"logs/{PLAN.name}/export_student/{{objective}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/export_student/{{objective}}-{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(6000),
        runtime=minutes(30),
    params:
        job=PLAN.specs.export(),
        encoder=encoder_option,
        files=lambda w, input: files_json(
            named({"training": input.get("training", []), "tests": input.get("tests", [])})
        ),
        code=code_key(*PLAN.modules.export()),
        key=lambda w: PLAN.keys.export(w.objective, int(w.seed)),
    message:
        "Write the student {wildcards.objective}, seed {wildcards.seed}, into a folder that stands alone"
    shell:
        "tagdistill export --job {params.job:q} --files {params.files:q} --model {input.model:q} {params.encoder} "
        "--card {input.card:q} --out {output:q} > {log:q} 2>&1"
