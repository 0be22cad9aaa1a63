# How the clusters that others published of their models differ, whose weights nobody needs for it.
BERTS = CONNECTIVITY.published
METRICS_FILES += [
    f"{CONNECTIVITY_METRICS}/{name}.csv"
    for name in ("cluster_differences", "runs", "agreement", "correct_counts", "groups")
]
STATISTICS.append(f"{CONNECTIVITY_METRICS}/clusters_statistics.csv")


rule compare_clusters:
    input:
        **code("metrics/compare_clusters.py"),
        runs=local(BERTS.runs.location),
        clusters=BERTS.clusters,
    output:
        measures=f"{CONNECTIVITY_METRICS}/cluster_differences.csv",
        runs=f"{CONNECTIVITY_METRICS}/runs.csv",
        statistics=f"{CONNECTIVITY_METRICS}/clusters_statistics.csv",
    log:
        f"{LOGS}/compare_clusters.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_clusters.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        caliper=BERTS.caliper,
        permutations=BERTS.permutations,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "How the two clusters of published models differ"
    shell:
        run_script(
            "--runs {input.runs:q} --clusters {input.clusters:q} --caliper {params.caliper}"
            " --permutations {params.permutations} --resamples {params.resamples}"
            " --level {params.level} --output {output.measures:q} --output-runs {output.runs:q}"
            " --output-statistics {output.statistics:q}"
        )


rule measure_agreement:
    input:
        **code("metrics/measure_agreement.py"),
        counts=local(BERTS.counts.location),
    output:
        measures=f"{CONNECTIVITY_METRICS}/agreement.csv",
        histogram=f"{CONNECTIVITY_METRICS}/correct_counts.csv",
    log:
        f"{LOGS}/measure_agreement.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_agreement.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        models=BERTS.n_runs,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "How far {params.models} published models agree"
    shell:
        run_script(
            "--counts {input.counts:q} --models {params.models} --resamples {params.resamples}"
            " --level {params.level} --output {output.measures:q}"
            " --output-histogram {output.histogram:q}"
        )


rule measure_groups:
    input:
        **code("metrics/measure_groups.py"),
        data=data_file(BERTS.hans),
        logits=logits_on(BERTS.hans),
    output:
        f"{CONNECTIVITY_METRICS}/groups.csv",
    log:
        f"{LOGS}/measure_groups.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_groups.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        report=RUN.metrics.report_split,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Accuracy in each group of examples"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --report-split {params.report:q}"
            " --resamples {params.resamples} --level {params.level} --output {output:q}"
        )


rule mnli_against_hans:
    input:
        **code("figures/linear_connectivity/mnli_against_hans.py"),
        runs=rules.compare_clusters.output.runs,
        clusters=rules.compare_clusters.output.measures,
    output:
        **connectivity_figure(
            "mnli_against_hans", "mnli_against_hans", "MNLI against HANS accuracy by cluster"
        ),
    log:
        f"{LOGS}/mnli_against_hans.log",
    benchmark:
        f"{LOGS}/benchmarks/mnli_against_hans.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: MNLI against HANS accuracy by cluster"
    shell:
        run_script(
            "--runs {input.runs:q} --clusters {input.clusters:q} --run {params.run:q}"
            " --level {params.level} --output {output:q}"
        )


rule hans_subsets:
    input:
        **code("figures/linear_connectivity/hans_subsets.py"),
        runs=rules.compare_clusters.output.runs,
        clusters=rules.compare_clusters.output.measures,
        groups=rules.measure_groups.output[0],
    output:
        **connectivity_figure("hans_subsets", "hans_subsets", "the six HANS subsets by cluster"),
    log:
        f"{LOGS}/hans_subsets.log",
    benchmark:
        f"{LOGS}/benchmarks/hans_subsets.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: the six HANS subsets by cluster"
    shell:
        run_script(
            "--runs {input.runs:q} --clusters {input.clusters:q} --groups {input.groups:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )


CONNECTIVITY_FIGURES += [*rules.mnli_against_hans.output, *rules.hans_subsets.output]
