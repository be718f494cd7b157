"""One teacher per language, whose settings hold nothing of the others, and teachers of several languages."""

TEACHER = layout.teacher("{lang}", "{decoder}", "{seed}")
TRAINED_TEACHER = [shared(place, "{key}") for place in layout.trained(TEACHER)]


rule train_teacher:
    """Train the teacher of one language, or of several."""
    input:
        unpack(
            lambda w: needed(w, PLAN.teacher_inputs(w.lang), FILES.trained(layout.teacher(w.lang, w.decoder, w.seed)))
        ),
    output:
        model=directory(TRAINED_TEACHER[0]),
        log=TRAINED_TEACHER[1],
        summary=TRAINED_TEACHER[2],
    log:
        log_of("train_teacher"),
    benchmark:
        benchmark_of("train_teacher")
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(240),
        gpu=GPU,
    params:
        job=lambda w, input: Argument(PLAN.specs.teacher(w.lang, w.decoder, int(w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        checkpoints=lambda w, output: shared(f"{layout.teacher(w.lang, w.decoder, w.seed)}/checkpoints", w.key),
    message:
        "Train the {wildcards.decoder} teacher of {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "tagdistill train-teacher --job {params.job:q} --files {params.files:q} {params.encoder} "
        "--model {output.model:q} --log {output.log:q} --summary {output.summary:q} "
        "--checkpoints {params.checkpoints:q} --device {resources.device} --gpus {resources.gpu} "
        "--threads {threads} > {log:q} 2>&1"


FOLD_TEACHER = layout.fold_teacher("{lang}", "{decoder}", "{seed}", "{fold}")


use rule train_teacher as train_fold_teacher with:
    input:
        unpack(
            lambda w: needed(
                w,
                PLAN.teacher_inputs(w.lang),
                FILES.fold_trained(w.lang, w.decoder, int(w.seed), int(w.fold)),
            )
        ),
    output:
        model=directory(shared(layout.trained(FOLD_TEACHER)[0], "{key}")),
        log=shared(layout.trained(FOLD_TEACHER)[1], "{key}"),
        summary=shared(layout.trained(FOLD_TEACHER)[2], "{key}"),
    log:
        log_of("train_fold_teacher"),
    benchmark:
        benchmark_of("train_fold_teacher")
    params:
        job=lambda w, input: Argument(PLAN.specs.teacher(w.lang, w.decoder, int(w.seed), int(w.fold))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        checkpoints=lambda w, output: shared(
            f"{layout.fold_teacher(w.lang, w.decoder, w.seed, w.fold)}/checkpoints", w.key
        ),
    message:
        "Train the {wildcards.decoder} teacher of {wildcards.lang} without fold {wildcards.fold}, seed {wildcards.seed}"
