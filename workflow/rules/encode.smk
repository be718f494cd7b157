"""Encoders, and what their frozen layers give for each text: teachers and students share it."""


rule convert_encoder:
    """Fetch an encoder and write it as an ordinary pre-trained folder."""
    output:
        directory(f"{ENCODERS}/{{encoder}}"),
    log:
        "logs/convert_encoder/{encoder}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:  # not params: a model's folder that is moved is the same model
        source=lambda w: option("--source", PLAN.local.encoder_source(w.encoder)),
    params:
        job=lambda w: Argument(PLAN.specs.convert_encoder(w.encoder)),
        code=lambda w: code_key(*PLAN.modules.convert_encoder(PLAN.specs.encoder_of_folder(w.encoder))),
    message:
        "Convert the encoder {wildcards.encoder}"
    shell:
        "tagdistill convert-encoder --job {params.job:q} {resources.source} --out {output:q} > {log:q} 2>&1"


rule convert_vectors:
    """Fetch word vectors, or take a file of them, for the teachers that read them beside an encoder's."""
    output:
        directory(f"{VECTORS}/{{vectors}}"),
    log:
        "logs/convert_vectors/{vectors}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:  # not params: a file that is moved is the same file
        source=lambda w: option("--source", PLAN.local.vectors_source(w.vectors)),
    params:
        job=lambda w: Argument(PLAN.specs.convert_vectors(w.vectors)),
        data=DOWNLOADS,
        code=code_key(*PLAN.modules.convert_vectors()),
    message:
        "Read the word vectors {wildcards.vectors}"
    shell:
        "tagdistill convert-vectors --job {params.job:q} --data {params.data:q} {resources.source} --out {output:q} "
        "> {log:q} 2>&1"


rule encode:
    """Compute the word vectors, or the states of pieces, of one language, each text once, from its tokens alone."""
    input:
        unpack(
            lambda w: needed(
                w,
                PLAN.encode_inputs(w.features, w.lang),
                [layout.stores(w.features, w.lang, FILES.stores_key(w.features, w.lang))],
            )
        ),
    output:
        directory(layout.stores("{features}", "{lang}", "{key}")),
    log:
        log_of("encode"),
    benchmark:
        benchmark_of("encode")
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,
        mem_mb=memory(4000),
        runtime=minutes(120),
        gpu=GPU,
    params:
        job=lambda w, input: Argument(PLAN.specs.encode(w.features)),
        files=lambda w, input: Argument(files_json(named(input))),
        known=lambda w, input: ",".join(FILES.stores(w.features, w.lang).values()),
        encoder=encoder_option,
    message:
        "Compute the word vectors of {wildcards.lang}"
    shell:
        "tagdistill encode {params.encoder} --job {params.job:q} --files {params.files:q} "
        "--keys {params.known} --out {output:q} --device {resources.device} --threads {threads} > {log:q} 2>&1"
