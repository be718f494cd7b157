"""Tables, figures and one page for people."""


rule report:
    """Write the tables, the figures, the HTML report and the model cards."""
    input:
        metrics=[file for model in PLAN.models() for file in PLAN.metrics(model)],
        logs=[f"{PLAN.results}/{model}/metrics.jsonl" for model in PLAN.models()],
        summaries=[f"{PLAN.results}/{model}/training.json" for model in PLAN.models()],
        data=[f"{PLAN.results}/data/{language}/report.json" for language in PLAN.languages],
    output:
        page=f"{PLAN.results}/report/index.html",
    log:
        f"logs/{PLAN.name}/report.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=PLAN.experiment.model_dump_json(),
        results=PLAN.results,
        benchmarks=f"benchmarks/{PLAN.name}",
        code=code_version("reporting", "evaluation"),
    shell:
        "tagdistill report --config {params.config:q} --results {params.results:q} "
        "--benchmarks {params.benchmarks:q} > {log:q} 2>&1"
