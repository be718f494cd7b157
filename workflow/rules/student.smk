"""One student of all languages for each objective and seed."""

STUDENT = layout.student("{objective}", "{seed}")
TRAINED_STUDENT = [shared(place, "{key}") for place in layout.trained(STUDENT)]


rule train_student:
    """Train one multilingual student."""
    input:
        unpack(
            lambda w: needed(
                w,
                PLAN.student_inputs(w.objective, int(w.seed)),
                FILES.trained(layout.student(w.objective, w.seed)),
            )
        ),
    output:
        model=directory(TRAINED_STUDENT[0]),
        log=TRAINED_STUDENT[1],
        summary=TRAINED_STUDENT[2],
    log:
        log_of("train_student"),
    benchmark:
        benchmark_of("train_student")
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(6000),
        runtime=minutes(480),
        gpu=GPU,
    params:
        job=lambda w, input: Argument(PLAN.specs.student(w.objective, int(w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        checkpoints=lambda w, output: shared(f"{layout.student(w.objective, w.seed)}/checkpoints", w.key),
    message:
        "Train the student {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "tagdistill train-student --job {params.job:q} --files {params.files:q} {params.encoder} "
        "--model {output.model:q} --log {output.log:q} --summary {output.summary:q} "
        "--checkpoints {params.checkpoints:q} --device {resources.device} --gpus {resources.gpu} "
        "--threads {threads} > {log:q} 2>&1"
