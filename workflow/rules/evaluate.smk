"""Every model on every language it is tested on: one job per model."""


rule evaluate_student:
    """Score one student, in-language and zero-shot."""
    input:
        unpack(lambda w: test_files(f"students/{w.objective}/seed-{w.seed}")),
        model=f"{STUDENT}/model",
    output:
        metrics=FILES.metrics("students/{objective}/seed-{seed}", PLAN.runs.tested),
        predictions=FILES.predictions("students/{objective}/seed-{seed}", PLAN.runs.tested),
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
        job=lambda w: Argument(PLAN.specs.evaluate(f"students/{w.objective}/seed-{w.seed}")),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
        code=lambda w: code_key(*PLAN.modules.evaluate(f"students/{w.objective}/seed-{w.seed}")),
        key=lambda w: PLAN.keys.evaluation(f"students/{w.objective}/seed-{w.seed}"),
    message:
        "Evaluate the student {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "tagdistill evaluate-model --job {params.job:q} --files {params.files:q} --model {input.model:q} "
        "{params.encoder} --predictions {params.folders[0]:q} --metrics {params.folders[1]:q} "
        "--device {resources.device} --threads {threads} > {log:q} 2>&1"


use rule evaluate_student as evaluate_teacher with:
    input:
        unpack(lambda w: test_files(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}")),
        model=f"{TEACHER}/model",
    output:
        metrics=FILES.metrics("teachers/{lang}/{decoder}/seed-{seed}", PLAN.runs.tests_of_teachers()),
        predictions=FILES.predictions("teachers/{lang}/{decoder}/seed-{seed}", PLAN.runs.tests_of_teachers()),
    log:
        f"logs/{PLAN.name}/evaluate_teacher/{{lang}}-{{decoder}}-{{seed}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/evaluate_teacher/{{lang}}-{{decoder}}-{{seed}}.tsv"
    params:
        job=lambda w: Argument(PLAN.specs.evaluate(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}")),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
        code=lambda w: code_key(*PLAN.modules.evaluate(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}")),
        key=lambda w: PLAN.keys.evaluation(f"teachers/{w.lang}/{w.decoder}/seed-{w.seed}"),
    message:
        "Evaluate the {wildcards.decoder} teacher of {wildcards.lang}, seed {wildcards.seed}"
