"""Encoders and the frozen word vectors that teachers and students share."""


rule convert_encoder:
    """Fetch an encoder and write it as an ordinary pre-trained folder."""
    output:
        directory("resources/encoders/{encoder}"),
    log:
        "logs/convert_encoder/{encoder}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:  # not params: a model's folder that is moved is the same model
        source=lambda w: option("--source", PLAN.encoder_source(w.encoder)),
    params:
        job=lambda w: PLAN.convert_job(w.encoder),
        code=code_key("tagdistill.encoders.providers"),
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
        source=lambda w: option("--source", PLAN.vectors_source(w.vectors)),
    params:
        job=lambda w: PLAN.vectors_job(w.vectors),
        data=DOWNLOADS,
        code=code_key("tagdistill.encoders.convert_vectors"),
    message:
        "Read the word vectors {wildcards.vectors}"
    shell:
        "tagdistill convert-vectors --job {params.job:q} --data {params.data:q} {resources.source} --out {output:q} "
        "> {log:q} 2>&1"


rule encode:
    """Compute the word vectors of one corpus, once."""
    input:
        encoder=lambda w: PLAN.encoder_folder(PLAN.encoders()[w.features]),
        corpora=PLAN.data("{lang}", "{split}"),
    output:
        features=f"{PLAN.results}/features/{{features}}/{{lang}}/{{split}}.safetensors",
    log:
        f"logs/{PLAN.name}/encode/{{features}}-{{lang}}-{{split}}.log",
    benchmark:
        f"benchmarks/{PLAN.name}/encode/{{features}}-{{lang}}-{{split}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        device=PLAN.experiment.device,  # not params: a run may move to a GPU, or back, and train nothing anew
        mem_mb=memory(4000),
        runtime=minutes(120),
        gpu=GPU,
    params:
        job=lambda w: PLAN.encode_job(w.features),
        files=lambda w, input, output: files_json({"corpora": [input.corpora], "features": [output.features]}),
        code=code_key("tagdistill.encoders.features"),
    message:
        "Compute the word vectors of {wildcards.lang}, {wildcards.split}"
    shell:
        "tagdistill encode --encoder {input.encoder:q} --job {params.job:q} --files {params.files:q} "
        "--device {resources.device} --threads {threads} > {log:q} 2>&1"
