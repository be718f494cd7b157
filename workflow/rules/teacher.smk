"""One teacher per language: its settings hold nothing of the other languages."""

TEACHER = FILES.teacher("{lang}", "{decoder}", "{seed}")


rule train_teacher:
    """Train the teacher of one language."""
    input:
        unpack(
            lambda w: needed(
                PLAN.teacher_inputs(w.lang),
                trained(FILES.teacher(w.lang, w.decoder, w.seed)),
                PLAN.keys.teacher(w.lang, w.decoder, int(w.seed)),
            )
        ),
    output:
        model=directory(f"{TEACHER}/model"),
        log=f"{TEACHER}/metrics.jsonl",
        summary=f"{TEACHER}/training.json",
    log:
        f"logs/{PLAN.name}/train_teacher/{{lang}}-{{decoder}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/train_teacher/{{lang}}-{{decoder}}-{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(240),
        gpu=GPU,
    params:
        job=lambda w: Argument(PLAN.specs.teacher(w.lang, w.decoder, int(w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        checkpoints=f"{TEACHER}/checkpoints",
        code=lambda w: code_key(*PLAN.modules.teacher(w.lang)),
        key=lambda w: PLAN.keys.teacher(w.lang, w.decoder, int(w.seed)),
    message:
        "Train the {wildcards.decoder} teacher of {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "tagdistill train-teacher --job {params.job:q} --files {params.files:q} {params.encoder} "
        "--model {output.model:q} --log {output.log:q} --summary {output.summary:q} "
        "--checkpoints {params.checkpoints:q} --device {resources.device} --gpus {resources.gpu} "
        "--threads {threads} > {log:q} 2>&1"
