"""Raw files to corpora: one layout for every format."""


rule fetch:
    """Download one split of one data set."""
    output:
        f"{DOWNLOADS}/{{raw}}",
    log:
        "logs/fetch/{raw}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        job=lambda w: Argument(PLAN.download(w.raw)),
        data=lambda w, output: str(Path(output[0]).parents[len(Path(w.raw).parts) - 1]),
    message:
        "Download {wildcards.raw}"
    shell:
        "tagdistill fetch --job {params.job:q} --data {params.data:q} > {log:q} 2>&1"


rule prepare:
    """Read one split of one language into a corpus."""
    input:
        raw=downloaded,
        tests=left_out_tests,
    output:
        shared(layout.corpus("{lang}", "{split}"), "{key}"),
    log:
        log_of("prepare"),
    benchmark:
        benchmark_of("prepare")
    conda:
        "../../envs/cpu.yaml"
    resources:
        source=in_place,
        mem_mb=memory(1000, lambda w: PLAN.local_megabytes(w.lang, w.split)),
        runtime=minutes(30),
    params:
        job=lambda w, input: Argument(PLAN.specs.prepare(w.lang, w.split)),
        source=lambda w, input: option("--source", input.get("raw", [])),
        tests=lambda w, input: option("--files", left_out(input)),
    message:
        "Read the {wildcards.split} text of {wildcards.lang}"
    shell:
        "tagdistill prepare --job {params.job:q} {params.source} {resources.source} {params.tests} --out {output:q} "
        "> {log:q} 2>&1"


rule data_report:
    """Count what the corpora of one language hold."""
    input:
        unpack(lambda w: needed(w, {"corpora": PLAN.corpora(w.lang)}, [FILES.data_report(w.lang)])),
    output:
        shared(layout.data_report("{lang}"), "{key}"),
    log:
        log_of("data_report"),
    benchmark:
        benchmark_of("data_report")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    message:
        "Count the data of {wildcards.lang}"
    shell:
        "tagdistill data-report {input.corpora:q} --out {output:q} > {log:q} 2>&1"


rule repeats:
    """Find the test sentences that students saw in training."""
    input:
        unpack(lambda w: needed(w, PLAN.repeats_inputs(), [FILES.repeats])),
    output:
        shared(layout.REPEATS, "{key}"),
    log:
        log_of("repeats"),
    benchmark:
        benchmark_of("repeats")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        files=lambda w, input: Argument(files_json(named(input))),
    message:
        "Find test sentences that also occur in training text"
    shell:
        "tagdistill repeats --files {params.files:q} --out {output:q} > {log:q} 2>&1"
