"""Tables, figures, one page for people, and students that leave the project."""

TABLES = ("scores", "in_language", "zero_shot", "teachers", "gap", "significance", "variants", "missing")


rule report:
    """Write the tables, the figures, the HTML report and the model cards."""
    input:
        metrics=[file for model in PLAN.models() for file in PLAN.metrics(model)],
        logs=[f"{PLAN.results}/{model}/metrics.jsonl" for model in PLAN.models()],
        summaries=[f"{PLAN.results}/{model}/training.json" for model in PLAN.models()],
        data=[f"{PLAN.results}/data/{language}/report.json" for language in PLAN.languages],
        encoder=PLAN.encoder_folder(PLAN.experiment.encoder),
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
                objective=PLAN.objectives,
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
        config=PLAN.experiment.model_dump_json(),
        results=lambda w, output: str(Path(output.page).parents[1]),
        benchmarks=f"benchmarks/{PLAN.name}",
        code=code_key("tagdistill.reporting.report"),
    message:
        "Write tables, figures and the report"
    shell:
        "tagdistill report --config {params.config:q} --results {params.results:q} --encoder {input.encoder:q} "
        "--benchmarks {params.benchmarks:q} > {log:q} 2>&1"


rule export_student:
    """A student in a folder that stands alone: weights, the layers of the encoder that it runs, model card."""
    input:
        model=f"{STUDENT}/model",
        encoder=PLAN.encoder_folder(PLAN.experiment.encoder),
        card=f"{PLAN.results}/report/cards/{{objective}}-seed-{{seed}}.md",
    output:
        directory(f"{PLAN.results}/export/{{objective}}/seed-{{seed}}"),
    log:
        f"logs/{PLAN.name}/export_student/{{objective}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/export_student/{{objective}}-{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code_key("tagdistill.export.bundle"),
    message:
        "Write the student {wildcards.objective}, seed {wildcards.seed}, into a folder that stands alone"
    shell:
        "tagdistill export --model {input.model:q} --encoder {input.encoder:q} --card {input.card:q} --out {output:q} "
        "> {log:q} 2>&1"
