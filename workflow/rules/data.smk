# Data sets: images, labels, splits and example ids, one file each.
DATA_FILES = [data_file(name) for name in RUN.data]


rule make_dataset:
    input:
        **code("data/make_dataset.py"),
    output:
        f"{RESULTS}/data/{{name}}.safetensors",
    log:
        f"{LOGS}/make_dataset/{{name}}.log",
    benchmark:
        f"{LOGS}/benchmarks/make_dataset/{{name}}.tsv"
    wildcard_constraints:
        name="|".join(map(re.escape, RUN.data)),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        kind=lambda wildcards: RUN.data[wildcards.name].kind,
        seed=lambda wildcards: RUN.data[wildcards.name].seed,
        size=lambda wildcards: RUN.data[wildcards.name].size,
        splits=lambda wildcards: compact(RUN.data[wildcards.name].splits),
    message:
        "Data set {wildcards.name}"
    shell:
        run_script(
            "--name {wildcards.name:q} --kind {params.kind:q} --seed {params.seed}"
            " --size {params.size} --splits {params.splits:q} --output {output:q}"
        )
