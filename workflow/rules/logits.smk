# Logits files: what every model says of every data set it is read on, batch by batch.
EVALUATED = [RUN.no_one_representation.data, RUN.no_one_representation.downstream.data]
LOGITS_FILES = [logits_file(model, data) for data in EVALUATED for model in MODELS]


for batch, members in BATCHES.items():

    rule:
        name:
            f"logits_{batch}"
        input:
            **code("logits/cache_logits.py"),
            checkpoints=[checkpoint_file(member.model) for member in members],
            data=[data_file(name) for name in EVALUATED],
        output:
            [logits_file(member.model, data) for data in EVALUATED for member in members],
        log:
            f"{LOGS}/cache_logits/{batch}.log",
        benchmark:
            f"{LOGS}/benchmarks/cache_logits/{batch}.tsv"
        conda:
            "../../envs/torch.yaml"
        threads: RUN.threads
        resources:
            mem_mb=2000,
        params:
            folder=f"{RESULTS}/logits",
        message:
            f"Logits of {', '.join(member.model for member in members)}"
        shell:
            run_script(
                "--checkpoints {input.checkpoints:q} --data {input.data:q} --threads {threads}"
                " --output {params.folder:q}"
            )
