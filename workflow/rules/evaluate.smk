"""Every model on every language it is tested on: one job a model."""

EVALUATION = code_key("tagdistill.evaluation.evaluate")


rule evaluate_student:
    """Score one student, in-language and zero-shot."""
    input:
        unpack(lambda w: PLAN.test_inputs(f"students/{w.objective}/seed-{w.seed}")),
        model=f"{STUDENT}/model",
        encoder=PLAN.encoder_input(PLAN.experiment.student.mode, PLAN.experiment.encoder),
    output:
        metrics=PLAN.metrics("students/{objective}/seed-{seed}", PLAN.tested),
        predictions=PLAN.predictions("students/{objective}/seed-{seed}", PLAN.tested),
    log:
        f"logs/{PLAN.name}/evaluate_student/{{objective}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/evaluate_student/{{objective}}-{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=GPU,
    params:
        job=lambda w: PLAN.evaluate_job(f"students/{w.objective}/seed-{w.seed}"),
        files=lambda w, input: files_json(named(input)),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
        code=EVALUATION,
    message:
        "Evaluate the student {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "tagdistill evaluate-model --job {params.job:q} --files {params.files:q} --model {input.model:q} "
        "{params.encoder} --predictions {params.folders[0]:q} --metrics {params.folders[1]:q} "
        "--device {resources.device} --threads {threads} > {log:q} 2>&1"


use rule evaluate_student as evaluate_teacher with:
    input:
        unpack(lambda w: PLAN.test_inputs(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}")),
        model=f"{TEACHER}/model",
        encoder=lambda w: PLAN.encoder_input(PLAN.teacher(w.lang).mode, PLAN.teacher_encoder(w.lang)),
    output:
        metrics=PLAN.metrics("teachers/{lang}/{decoder}/seed-{seed}", PLAN.tests_of_teachers()),
        predictions=PLAN.predictions("teachers/{lang}/{decoder}/seed-{seed}", PLAN.tests_of_teachers()),
    log:
        f"logs/{PLAN.name}/evaluate_teacher/{{lang}}-{{decoder}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/evaluate_teacher/{{lang}}-{{decoder}}-{{seed}}.tsv"
    params:
        job=lambda w: PLAN.evaluate_job(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}"),
        files=lambda w, input: files_json(named(input)),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
        code=EVALUATION,
    message:
        "Evaluate the {wildcards.decoder} teacher of {wildcards.lang}, seed {wildcards.seed}"
