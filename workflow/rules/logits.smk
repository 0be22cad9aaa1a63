# Logits files: what every model says of every data set it is read on, batch by batch.
EVALUATED = [data for data in COMPARED if data not in ENCODED]
# Whether a later step reads what the heads of the models see, and not just what they say.
FEATURES = False
if RUN.no_one_representation:
    FEATURES = bool(
        RUN.no_one_representation.feature_mixing or RUN.no_one_representation.downstream
    )
    if RUN.no_one_representation.downstream:
        EVALUATED = [*EVALUATED, RUN.no_one_representation.downstream.data]
# The models with weights that say something of them.
ASKED = [row for row in MODELS.values() if row.source != "predictions" and row.model not in STARTS]
LOGITS_FILES = [
    *(logits_file(row.model, data) for data in (*EVALUATED, *ENCODED) for row in ASKED),
    *(logits_file(model, data) for model, data in PREDICTIONS),
]


for batch, members in batches(ASKED).items() if EVALUATED else ():

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
            runtime=RUNTIME,
            gpu=RUN.gpus,
        params:
            folder=f"{RESULTS}/logits",
        message:
            f"Logits of {', '.join(member.model for member in members)}"
        shell:
            run_script(
                "--checkpoints {input.checkpoints:q} --data {input.data:q}"
                " --threads {threads} --gpus {resources.gpu}"
                " --output {params.folder:q}"
            )


for batch, members in batches(ASKED).items() if ENCODED else ():

    rule:
        name:
            f"image_logits_{batch}"
        input:
            **code("logits/cache_image_logits.py"),
            checkpoints=[checkpoint_file(member.model) for member in members],
            data=[data_file(name) for name in ENCODED],
            images=[encoded_file(name) for name in ENCODED],
        output:
            [logits_file(member.model, data) for data in ENCODED for member in members],
        log:
            f"{LOGS}/cache_image_logits/{batch}.log",
        benchmark:
            f"{LOGS}/benchmarks/cache_image_logits/{batch}.tsv"
        conda:
            "../../envs/torch.yaml"
        threads: RUN.threads
        resources:
            mem_mb=16000,
            runtime=600,
            gpu=RUN.gpus,
        params:
            folder=f"{RESULTS}/logits",
            batch_size=RUN.logits.batch_size,
            precision=RUN.logits.precision,
            features=int(FEATURES),
        message:
            f"Logits of {', '.join(member.model for member in members)}"
        shell:
            run_script(
                "--checkpoints {input.checkpoints:q} --data {input.data:q} --threads {threads}"
                " --batch-size {params.batch_size} --precision {params.precision:q}"
                " --gpus {resources.gpu} --features {params.features} --output {params.folder:q}"
            )


for batch, rows in batches(PREDICTIONS.values()).items():
    formats = [RUN.formats[row.format] if row.format else Format() for row in rows]
    for row in rows:
        where = f"{RUN.models}, model {row.model!r}, column location"
        refuse_missing(row.location, where, logits_file(rows[0].model, rows[0].data))

    rule:
        name:
            f"predictions_{batch}"
        input:
            **code("logits/import_predictions.py"),
            files=[local(row.location) for row in rows],
            data=[data_file(name) for name in sorted({row.data for row in rows})],
        output:
            [logits_file(row.model, row.data) for row in rows],
        log:
            f"{LOGS}/import_predictions/{batch}.log",
        benchmark:
            f"{LOGS}/benchmarks/import_predictions/{batch}.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            rows=compact(
                [
                    {
                        "model": row.model,
                        "data": row.data,
                        "sha256": row.sha256 or "",
                        "format": format.model_dump(),
                    }
                    for row, format in zip(rows, formats)
                ]
            ),
            # Of files that no job fetches, for readers of the record.
            licences=[row.licence or "" for row in rows if not is_address(row.location)],
            citations=[row.citation or "" for row in rows if not is_address(row.location)],
            folder=f"{RESULTS}/logits",
        message:
            f"Predictions of {', '.join(dict.fromkeys(row.model for row in rows))}"
        shell:
            run_script(
                "--data {input.data:q} --files {input.files:q} --rows {params.rows:q}"
                " --output {params.folder:q}"
            )
