"""Teacher predictions: scores (the expensive forward pass, once) and targets (cheap, from the scores)."""


rule score:
    """Run a teacher over one corpus."""
    input:
        unpack(lambda w: needed(w, PLAN.score_inputs(*score_job(w)), [FILES.scores(*score_job(w))])),
    output:
        shared(layout.scores("{lang}", "{decoder}", "{seed}", "{corpus}", "{text}"), "{key}"),
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
        states=lambda w, input: option("--states", input.get("states", [])),
        vectors=lambda w, input: option("--vectors", input.get("vectors", [])),
        folds=lambda w, input: " ".join(option("--fold", path) for path in input.get("folds", [])),
        encoder=encoder_option,
    message:
        "Score {wildcards.corpus} text with the {wildcards.decoder} teacher of {wildcards.lang}{wildcards.text}"
    shell:
        "tagdistill score --model {input.model:q} --corpus {input.corpus:q} {params.features} {params.states} "
        "{params.vectors} {params.folds} {params.encoder} --device {resources.device} --threads {threads} --out {output:q} "
        "> {log:q} 2>&1"


rule export_targets:
    """Posteriors and the K best label sequences of a teacher, or of the average of several, at temperature 1."""
    input:
        unpack(lambda w: needed(w, PLAN.target_inputs(*targets_job(w)), [FILES.targets(*targets_job(w))])),
    output:
        shared(layout.targets("{lang}", "{decoder}", "{corpus}", "{average}"), "{key}"),
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
        scores=lambda w, input: " ".join(option("--scores", path) for path in input.scores),
        weights=lambda w, input: option("--weights", write_weights(targets_job(w)[-1]) or []),
        k=lambda w, input: PLAN.experiment.distill.k,
        kernel=lambda w, input: PLAN.experiment.kernel,
    message:
        "Write the {wildcards.decoder} targets of {wildcards.lang}{wildcards.average}, {wildcards.corpus}"
    shell:
        "tagdistill targets {params.scores} {params.weights} --k {params.k} --kernel {params.kernel} "
        "--threads {threads} --out {output:q} > {log:q} 2>&1"
