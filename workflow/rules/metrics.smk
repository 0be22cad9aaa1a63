# What every paper measures of the models of a run: each alone, and all pairs.
MODEL_TABLE = f"{RESULTS}/metrics/models.csv"
PAIR_TABLE = f"{RESULTS}/metrics/pairs.csv"
COMPARED_DATA = RUN.no_one_representation.data
COMPARED_LOGITS = [logits_file(model, COMPARED_DATA) for model in MODELS]


rule measure_models:
    input:
        **code("metrics/measure_models.py"),
        data=data_file(COMPARED_DATA),
        logits=COMPARED_LOGITS,
    output:
        MODEL_TABLE,
    log:
        f"{LOGS}/measure_models.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_models.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        categories=compact(CATEGORY_OF),
        tune=RUN.metrics.calibration_split,
        report=RUN.metrics.report_split,
        base=RUN.no_one_representation.base_model,
        window=RUN.no_one_representation.accuracy_window,
        bins=RUN.metrics.calibration_bins,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        f"Accuracy and calibration of {len(MODELS)} models"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --categories {params.categories:q}"
            " --tune-split {params.tune:q} --report-split {params.report:q} --base {params.base:q}"
            " --window {params.window} --bins {params.bins} --resamples {params.resamples}"
            " --level {params.level} --output {output:q}"
        )


rule measure_pairs:
    input:
        **code("metrics/measure_pairs.py"),
        data=data_file(COMPARED_DATA),
        logits=COMPARED_LOGITS,
        models=MODEL_TABLE,
    output:
        PAIR_TABLE,
    log:
        f"{LOGS}/measure_pairs.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_pairs.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        report=RUN.metrics.report_split,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Error overlap and ensembles of all pairs"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --models {input.models:q}"
            " --report-split {params.report:q} --resamples {params.resamples}"
            " --level {params.level} --output {output:q}"
        )
