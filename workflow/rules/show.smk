"""Links in results/NAME to the results that experiments share."""


rule links:
    """Show in results/NAME what the config means: before anything else, so that what is made is seen."""
    output:
        RECORD,
    log:
        f"logs/{PLAN.name}/links.log",
    priority: 100
    conda:
        "../../envs/cpu.yaml"
    params:
        results=lambda w: Argument(shown().text()),  # in a store the links are not seen: there it is compared with the last
    message:
        f"Show the results of the config in {PLAN.results}"
    shell:
        "tagdistill links --record {output:q} --results {params.results:q} > {log:q} 2>&1"


rule show:
    """Make a result that is asked for at its place in results/NAME, and its link."""
    input:
        to_show,
        shown=record,
    output:
        f"{PLAN.results}/{{place}}",
    log:
        f"logs/{PLAN.name}/show/{{place}}.log",
    wildcard_constraints:
        place=r"(?:data|features|metrics|predictions|targets)/.+|(?:students|teachers)/.+\.(?:jsonl?|parquet)",
    conda:
        "../../envs/cpu.yaml"
    params:
        target=lambda w, input: shown().target(w.place),
    message:
        "Show {output}"
    shell:
        "ln -sfn {params.target:q} {output:q} > {log:q} 2>&1"


use rule show as show_model with:
    output:
        directory(f"{PLAN.results}/{{place}}"),
    wildcard_constraints:
        place="(?:students|teachers)/.+/model",
