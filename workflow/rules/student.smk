"""One student of all languages for each objective and seed."""

STUDENT = FILES.student("{objective}", "{seed}")


rule train_student:
    """Train one multilingual student."""
    input:
        unpack(
            lambda w: needed(
                PLAN.student_inputs(w.objective, int(w.seed)),
                trained(FILES.student(w.objective, w.seed)),
                PLAN.keys.student(w.objective, int(w.seed)),
            )
        ),
    output:
        model=directory(f"{STUDENT}/model"),
        log=f"{STUDENT}/metrics.jsonl",
        summary=f"{STUDENT}/training.json",
    log:
        f"logs/{PLAN.name}/train_student/{{objective}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/train_student/{{objective}}-{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(6000),
        runtime=minutes(480),
        gpu=GPU,
    params:
        job=lambda w: Argument(PLAN.specs.student(w.objective, int(w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        checkpoints=f"{STUDENT}/checkpoints",
        code=lambda w: code_key(*PLAN.modules.student(w.objective)),
        key=lambda w: PLAN.keys.student(w.objective, int(w.seed)),
    message:
        "Train the student {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "tagdistill train-student --job {params.job:q} --files {params.files:q} {params.encoder} "
        "--model {output.model:q} --log {output.log:q} --summary {output.summary:q} "
        "--checkpoints {params.checkpoints:q} --device {resources.device} --gpus {resources.gpu} "
        "--threads {threads} > {log:q} 2>&1"
