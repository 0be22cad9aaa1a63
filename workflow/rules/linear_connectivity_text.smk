# Text classifiers: fine-tuned here from one encoder, a family an arm, or the user's own as one.
TEXT = CONNECTIVITY.text
TEXT_FAMILIES = config_connectivity.families(TEXT)
IN_DOMAIN = config_connectivity.in_domain(TEXT)
INTERPOLATION_DATA = config_connectivity.interpolation(TEXT)
CONNECTED_DATA += [IN_DOMAIN, INTERPOLATION_DATA, *TEXT.diagnostics]


def weights_of(family):
    """The trained weights of a family that is fine-tuned here."""
    return f"{CONNECTIVITY_FINETUNED}/{family}.safetensors"


if TEXT.start:
    FINETUNED_FILES += map(weights_of, TEXT_FAMILIES)


for family, members in TEXT_FAMILIES.items() if TEXT.start else ():

    rule:
        name:
            f"fine_tune_text_{family}"
        input:
            **code("finetuned/fine_tune_text.py"),
            data=data_file(TEXT.data),
            checkpoint=checkpoint_file(TEXT.start),
        output:
            weights_of(family),
        log:
            f"{LOGS}/fine_tune_text/{family}.log",
        benchmark:
            f"{LOGS}/benchmarks/fine_tune_text/{family}.tsv"
        # The longest jobs of the run: the scheduler should not leave them for last.
        priority: 1
        conda:
            "../../envs/text.yaml"
        threads: RUN.threads
        resources:
            mem_mb=4000,
            runtime=RUNTIME,
            gpu=RUN.gpus,
        params:
            family=family,
            members=compact(members),
            settings=compact(config_connectivity.fine_tuning_settings(TEXT)),
        message:
            f"Fine-tuning {len(members)} text classifiers: {family}"
        shell:
            run_script(
                "--data {input.data:q} --checkpoint {input.checkpoint:q} --family {params.family:q}"
                " --members {params.members:q} --settings {params.settings:q}"
                " --threads {threads} --gpus {resources.gpu}"
                " --output {output:q}"
            )


for family, members in TEXT_FAMILIES.items():
    CONNECTIONS[family] = f"{CONNECTIVITY_FINETUNED}/{family}_paths.safetensors"

    rule:
        name:
            f"connect_text_{family}"
        input:
            **code("finetuned/connect_text.py"),
            checkpoints=[
                checkpoint_file(model) for model in ([TEXT.start] if TEXT.start else TEXT.models)
            ],
            weights=weights_of(family) if TEXT.start else [],
            in_domain=data_file(IN_DOMAIN),
            interpolation=data_file(INTERPOLATION_DATA),
            diagnostics=[data_file(name) for name in TEXT.diagnostics],
        output:
            CONNECTIONS[family],
        log:
            f"{LOGS}/connect_text/{family}.log",
        benchmark:
            f"{LOGS}/benchmarks/connect_text/{family}.tsv"
        priority: 1
        conda:
            "../../envs/text.yaml"
        threads: RUN.threads
        resources:
            # All models are read at once.
            mem_mb=4000 + 500 * len(TEXT.models),
            runtime=RUNTIME,
            gpu=RUN.gpus,
        params:
            family=family,
            models=TEXT.models or [],
            settings=compact(config_connectivity.connect_settings(TEXT)),
        message:
            f"Paths between the weights of text classifiers: {family}"
        shell:
            run_script(
                "--family {params.family:q} --checkpoints {input.checkpoints:q}"
                " --weights {input.weights:q} --models {params.models:q}"
                " --in-domain {input.in_domain:q} --interpolation {input.interpolation:q}"
                " --diagnostics {input.diagnostics:q} --settings {params.settings:q}"
                " --threads {threads} --gpus {resources.gpu} --output {output:q}"
            )
