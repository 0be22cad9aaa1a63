# What every paper measures of the models of a run, on each data set: each alone, and all pairs.
def model_table(data):
    return f"{RESULTS}/metrics/{data}/models.csv"


def pair_table(data):
    return f"{RESULTS}/metrics/{data}/pairs.csv"


def logits_on(data):
    return [logits_file(model, data) for model in models_on(data)]


def of_paper(data, value):
    """A leaf of the paper that concerns the data set it compares models on, and no other."""
    paper = RUN.no_one_representation
    return value(paper) if paper and paper.data == data else []


# What a run fine-tunes, measures and draws; every part of the workflow adds its own.
METRICS_FILES = [table(data) for data in RUN.metrics.data for table in (model_table, pair_table)]
FINETUNED_FILES = []
STATISTICS = []
FIGURE_FILES = []


rule measure_models:
    input:
        **code("metrics/measure_models.py"),
        data=data_file("{data}"),
        logits=lambda wildcards: logits_on(wildcards.data),
    output:
        model_table("{data}"),
    log:
        f"{LOGS}/measure_models/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_models/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(RUN.metrics.data),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        categories=lambda wildcards: categories_of(models_on(wildcards.data)),
        tune=RUN.metrics.calibration_split,
        report=RUN.metrics.report_split,
        base=lambda wildcards: of_paper(wildcards.data, lambda paper: paper.base_model),
        window=lambda wildcards: of_paper(wildcards.data, lambda paper: paper.accuracy_window),
        bins=RUN.metrics.calibration_bins,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Accuracy and calibration on {wildcards.data}"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --categories {params.categories:q}"
            " --tune-split {params.tune:q} --report-split {params.report:q} --base {params.base:q}"
            " --window {params.window:q} --bins {params.bins} --resamples {params.resamples}"
            " --level {params.level} --output {output:q}"
        )


rule measure_pairs:
    input:
        **code("metrics/measure_pairs.py"),
        data=data_file("{data}"),
        logits=lambda wildcards: logits_on(wildcards.data),
        models=model_table("{data}"),
    output:
        pair_table("{data}"),
    log:
        f"{LOGS}/measure_pairs/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_pairs/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(RUN.metrics.data),
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
        "Error overlap and ensembles of all pairs on {wildcards.data}"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --models {input.models:q}"
            " --report-split {params.report:q} --resamples {params.resamples}"
            " --level {params.level} --output {output:q}"
        )
