"""Teacher predictions: scores (the expensive forward pass, once) and targets (cheap, from the scores)."""


rule score:
    """Run a teacher over one corpus of its language."""
    input:
        unpack(
            lambda w: needed(
                PLAN.score_inputs(w.lang, w.corpus),
                [FILES.scores(w.lang, w.decoder, w.seed, w.corpus)],
                PLAN.keys.scores(w.lang, w.decoder, int(w.seed), w.corpus),
            )
        ),
        model=f"{TEACHER}/model",
    output:
        f"{TEACHER}/scores/{{corpus}}.parquet",
    log:
        f"logs/{PLAN.name}/score/{{lang}}-{{decoder}}-{{seed}}-{{corpus}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/score/{{lang}}-{{decoder}}-{{seed}}-{{corpus}}.tsv"
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
        code=lambda w: code_key(*PLAN.modules.score(w.lang)),
        key=lambda w: PLAN.keys.scores(w.lang, w.decoder, int(w.seed), w.corpus),
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
                {"scores": [PLAN.scores(w.lang, w.decoder, w.corpus)]},
                [FILES.targets(w.lang, w.decoder, w.corpus)],
                PLAN.keys.targets(w.lang, w.decoder, w.corpus),
            )
        ),
    output:
        FILES.targets("{lang}", "{decoder}", "{corpus}"),
    log:
        f"logs/{PLAN.name}/export_targets/{{lang}}-{{decoder}}-{{corpus}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/export_targets/{{lang}}-{{decoder}}-{{corpus}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        k=PLAN.experiment.distill.k,
        kernel=PLAN.experiment.kernel,
        code=code_key(*PLAN.modules.targets()),
        key=lambda w: PLAN.keys.targets(w.lang, w.decoder, w.corpus),
    message:
        "Write the {wildcards.decoder} targets of {wildcards.lang}, {wildcards.corpus}"
    shell:
        "tagdistill targets --scores {input.scores:q} --k {params.k} --kernel {params.kernel} --threads {threads} "
        "--out {output:q} > {log:q} 2>&1"
