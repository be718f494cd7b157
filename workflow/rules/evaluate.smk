"""Every model on every language it is tested on: one job per model."""


rule evaluate_student:
    """Score one student, in-language and zero-shot."""
    input:
        unpack(lambda w: test_files(w, layout.student(w.objective, w.seed))),
    output:
        metrics=[shared(place, "{key}") for place in layout.metrics(STUDENT, PLAN.runs.tested)],
        predictions=[shared(place, "{key}") for place in layout.predictions(STUDENT, PLAN.runs.tested)],
    log:
        log_of("evaluate_student"),
    benchmark:
        benchmark_of("evaluate_student")
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(60),
        gpu=GPU,
    params:
        job=lambda w, input: Argument(PLAN.specs.evaluate(layout.student(w.objective, w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
    message:
        "Evaluate the student {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "tagdistill evaluate-model --job {params.job:q} --files {params.files:q} --model {input.model:q} "
        "{params.encoder} --predictions {params.folders[0]:q} --metrics {params.folders[1]:q} "
        "--device {resources.device} --threads {threads} > {log:q} 2>&1"


use rule evaluate_student as evaluate_teacher with:
    input:
        unpack(lambda w: test_files(w, layout.teacher(w.lang, w.decoder, w.seed))),
    output:
        metrics=[shared(place, "{key}") for place in layout.metrics(TEACHER, PLAN.runs.tests_of_teachers())],
        predictions=[shared(place, "{key}") for place in layout.predictions(TEACHER, PLAN.runs.tests_of_teachers())],
    log:
        log_of("evaluate_teacher"),
    benchmark:
        benchmark_of("evaluate_teacher")
    wildcard_constraints:
        lang="|".join(PLAN.runs.trained),
    params:
        job=lambda w, input: Argument(PLAN.specs.evaluate(layout.teacher(w.lang, w.decoder, w.seed))),
        files=lambda w, input: Argument(files_json(named(input))),
        encoder=encoder_option,
        folders=lambda w, output: [Path(output.predictions[0]).parent, Path(output.metrics[0]).parent],
    message:
        "Evaluate the {wildcards.decoder} teacher of {wildcards.lang}, seed {wildcards.seed}"


use rule evaluate_teacher as evaluate_shared_teacher with:
    output:
        metrics=[shared(place, "{key}") for place in layout.metrics(TEACHER, PLAN.runs.tested)],
        predictions=[shared(place, "{key}") for place in layout.predictions(TEACHER, PLAN.runs.tested)],
    log:
        log_of("evaluate_shared_teacher"),
    benchmark:
        benchmark_of("evaluate_shared_teacher")
    wildcard_constraints:
        lang="|".join(PLAN.runs.shared) or "(?!)",  # nothing
