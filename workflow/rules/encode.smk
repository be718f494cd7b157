"""Encoders and the frozen word vectors that teachers and students share."""


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
    """Compute the word vectors of one corpus, once. They depend on its tokens, not on its labels."""
    input:
        unpack(
            lambda w: needed(
                {"encoder": [PLAN.encoder_of_features(w.features)], "corpora": [FILES.data(w.lang, w.split)]},
                [FILES.features_of_key(w.features, w.lang, w.split)],
                PLAN.keys.features(w.features, w.lang, w.split),
                known_by_key=("encoder", "corpora"),
            )
        ),
    output:
        features=FILES.features_of_key("{features}", "{lang}", "{split}"),
    log:
        f"logs/{PLAN.name}/encode/{{features}}-{{lang}}-{{split}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/encode/{{features}}-{{lang}}-{{split}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,  # not params: a run may move to a GPU, or back, and train nothing again
        mem_mb=memory(4000),
        runtime=minutes(120),
        gpu=GPU,
    params:
        job=lambda w: Argument(PLAN.specs.encode(w.features)),
        files=lambda w, input, output: Argument(
            files_json({"corpora": input.get("corpora", []), "features": [output.features]})
        ),
        encoder=encoder_option,
        text=lambda w: PLAN.specs.tokens(w.lang, w.split),
        sha256=lambda w: PLAN.raw_sha256(w.lang, w.split),
        code=lambda w: code_key(*PLAN.modules.encode(PLAN.specs.encoders()[w.features])),
        key=lambda w: PLAN.keys.features(w.features, w.lang, w.split),
    message:
        "Compute the word vectors of {wildcards.lang}, {wildcards.split}"
    shell:
        "tagdistill encode {params.encoder} --job {params.job:q} --files {params.files:q} "
        "--device {resources.device} --threads {threads} > {log:q} 2>&1"
