# Which models are worth ensembling, on each data set on which models are compared.
ENSEMBLED = [data for data in RUN.metrics.data if not RUN.data[data].relabels]


def ensembling_metrics(data, suffix):
    return f"{RESULTS}/metrics/{data}/ensembling.{suffix}"


METRICS_FILES += [
    ensembling_metrics(data, suffix) for data in ENSEMBLED for suffix in ("csv", "txt")
]
ENSEMBLING_FIGURE = figure_files(
    f"{RESULTS}/figures/ensembling/{{data}}",
    "worth_ensembling",
    "Which models are worth ensembling?",
    {"figure": "{data}", "shows": "the best set of each size, and pairs"},
)
FIGURE_FILES += [
    f"{RESULTS}/figures/ensembling/{data}.{suffix}"
    for data in ENSEMBLED
    for suffix in FIGURE_FORMATS
]


rule rank_ensembles:
    input:
        **code("metrics/rank_ensembles.py"),
        data=data_file("{data}"),
        logits=lambda wildcards: logits_on(wildcards.data),
    output:
        table=ensembling_metrics("{data}", "csv"),
        verdict=ensembling_metrics("{data}", "txt"),
    log:
        f"{LOGS}/rank_ensembles/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/rank_ensembles/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(ENSEMBLED),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        costs=lambda wildcards: compact(
            {
                model: MODELS[model].cost
                for model in models_on(wildcards.data)
                if MODELS[model].cost is not None
            }
        ),
        max_members=RUN.ensembling.max_members,
        tune=RUN.metrics.calibration_split,
        report=RUN.metrics.report_split,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Which models are worth ensembling on {wildcards.data}"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --costs {params.costs:q}"
            " --max-members {params.max_members} --tune-split {params.tune:q}"
            " --report-split {params.report:q} --resamples {params.resamples}"
            " --level {params.level} --output {output.table:q} --output-verdict {output.verdict:q}"
        )


rule worth_ensembling:
    input:
        **code("figures/worth_ensembling.py"),
        table=ensembling_metrics("{data}", "csv"),
        verdict=ensembling_metrics("{data}", "txt"),
    output:
        **ENSEMBLING_FIGURE,
    log:
        f"{LOGS}/worth_ensembling/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/worth_ensembling/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(ENSEMBLED),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: which models are worth ensembling on {wildcards.data}"
    shell:
        run_script(
            "--table {input.table:q} --verdict {input.verdict:q} --data-name {wildcards.data:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )
