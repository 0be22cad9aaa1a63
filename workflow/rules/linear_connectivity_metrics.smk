# Barriers, clusters and what they go with, of all families of text and of images.
CONNECTIVITY_TABLES = {
    table: f"{CONNECTIVITY_METRICS}/{table}.csv"
    for table in (
        "pairs",
        "members",
        "diagnostics",
        "clusters",
        "separation",
        "curves",
        "planes",
        "plane_points",
        "dynamics",
        "checks",
    )
}
FINETUNED_FILES += CONNECTIONS.values()
METRICS_FILES += CONNECTIVITY_TABLES.values()
STATISTICS.append(f"{CONNECTIVITY_METRICS}/connectivity_statistics.csv")


rule compare_connectivity:
    input:
        **code("metrics/compare_connectivity.py"),
        connections=list(CONNECTIONS.values()),
        data=[data_file(name) for name in dict.fromkeys(CONNECTED_DATA)],
    output:
        **CONNECTIVITY_TABLES,
        statistics=STATISTICS[-1],
    log:
        f"{LOGS}/compare_connectivity.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_connectivity.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=compact(
            config_connectivity.compare_settings(CONNECTIVITY.text)
            | {
                "resamples": RUN.metrics.bootstrap_resamples,
                "level": RUN.metrics.confidence_level,
            }
        ),
    message:
        "Barriers between models, their clusters, and how these generalise"
    shell:
        run_script(
            "--connections {input.connections:q} --data {input.data:q}"
            " --settings {params.settings:q} "
            + " ".join(
                f"--output-{table.replace('_', '-')} {{output.{table}:q}}"
                for table in CONNECTIVITY_TABLES
            )
            + " --output-statistics {output.statistics:q}"
        )
