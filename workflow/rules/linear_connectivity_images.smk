# Image classifiers that were trained apart, and branches of one run.
CONNECTED_IMAGES = CONNECTIVITY.images
CONNECTED_DATA.append(CONNECTED_IMAGES.data)
IMAGE_FAMILIES = list(config_connectivity.image_families(CONNECTED_IMAGES))
CONNECTIONS |= {
    family: f"{CONNECTIVITY_FINETUNED}/{family}_paths.safetensors" for family in IMAGE_FAMILIES
}


rule connect_images:
    input:
        **code("finetuned/connect_images.py"),
        checkpoints=[checkpoint_file(model) for model in CONNECTED_IMAGES.models],
        data=data_file(CONNECTED_IMAGES.data),
    output:
        [CONNECTIONS[family] for family in IMAGE_FAMILIES],
    log:
        f"{LOGS}/connect_images.log",
    benchmark:
        f"{LOGS}/benchmarks/connect_images.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: RUN.threads
    resources:
        mem_mb=2000,
        runtime=RUNTIME,
        gpu=RUN.gpus,
    params:
        models=CONNECTED_IMAGES.models,
        settings=compact(config_connectivity.image_settings(CONNECTED_IMAGES)),
    message:
        "Paths between the weights of image classifiers"
    shell:
        run_script(
            "--checkpoints {input.checkpoints:q} --models {params.models:q} --data {input.data:q}"
            " --settings {params.settings:q}"
            " --threads {threads} --gpus {resources.gpu} --output {output:q}"
        )
