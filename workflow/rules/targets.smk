"""Teacher predictions: scores (the expensive forward pass, once) and targets (cheap, from the scores)."""


rule score:
    """Run a teacher over one corpus of its language."""
    input:
        unpack(
            lambda w: needed(
                w,
                PLAN.score_inputs(w.lang, w.decoder, int(w.seed), w.corpus),
                [FILES.scores(w.lang, w.decoder, int(w.seed), w.corpus)],
            )
        ),
    output:
        shared(layout.scores("{lang}", "{decoder}", "{seed}", "{corpus}"), "{key}"),
    log:
        log_of("score"),
    benchmark:
        benchmark_of("score")
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=GPU,
    params:
        features=lambda w, input: option("--features", input.get("features", [])),
        vectors=lambda w, input: option("--vectors", input.get("vectors", [])),
        encoder=encoder_option,
    message:
        "Score the {wildcards.corpus} text of {wildcards.lang} with its {wildcards.decoder} teacher"
    shell:
        "tagdistill score --model {input.model:q} --corpus {input.corpus:q} {params.features} {params.vectors} "
        "{params.encoder} --device {resources.device} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule export_targets:
    """Posteriors and the K best label sequences, at temperature 1."""
    input:
        unpack(
            lambda w: needed(
                w,
                {"scores": [PLAN.scores(w.lang, w.decoder, w.corpus)]},
                [FILES.targets(w.lang, w.decoder, w.corpus)],
            )
        ),
    output:
        shared(layout.targets("{lang}", "{decoder}", "{corpus}"), "{key}"),
    log:
        log_of("export_targets"),
    benchmark:
        benchmark_of("export_targets")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        k=lambda w, input: PLAN.experiment.distill.k,
        kernel=lambda w, input: PLAN.experiment.kernel,
    message:
        "Write the {wildcards.decoder} targets of {wildcards.lang}, {wildcards.corpus}"
    shell:
        "tagdistill targets --scores {input.scores:q} --k {params.k} --kernel {params.kernel} --threads {threads} "
        "--out {output:q} > {log:q} 2>&1"
