"""What teachers say: scores (the expensive forward pass, once) and targets (cheap, from the scores)."""


rule score:
    """Run a teacher over one corpus of its language."""
    input:
        model=f"{TEACHER}/model",
        corpus=PLAN.data("{lang}", "{corpus}"),
        features=lambda w: PLAN.features_input(w.lang, w.corpus),
        vectors=lambda w: PLAN.vectors_input(w.lang),
        encoder=lambda w: PLAN.encoder_input(PLAN.teacher(w.lang).mode, PLAN.teacher_encoder(w.lang)),
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
        features=lambda w, input: option("--features", input.features),
        vectors=lambda w, input: option("--vectors", input.vectors),
        encoder=encoder_option,
        code=code_key("tagdistill.distill.score_corpus"),
    message:
        "Score the {wildcards.corpus} text of {wildcards.lang} with its {wildcards.decoder} teacher"
    shell:
        "tagdistill score --model {input.model:q} --corpus {input.corpus:q} {params.features} {params.vectors} "
        "{params.encoder} --device {resources.device} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule export_targets:
    """Posteriors and the K best label sequences, at temperature 1."""
    input:
        lambda w: PLAN.scores(w.lang, w.decoder, w.corpus),
    output:
        PLAN.targets("{lang}", "{decoder}", "{corpus}"),
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
        code=code_key("tagdistill.distill.target_table"),
    message:
        "Write the {wildcards.decoder} targets of {wildcards.lang}, {wildcards.corpus}"
    shell:
        "tagdistill targets --scores {input:q} --k {params.k} --kernel {params.kernel} --threads {threads} "
        "--out {output:q} > {log:q} 2>&1"
