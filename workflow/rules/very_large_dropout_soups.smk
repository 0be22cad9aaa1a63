# What others published of averaging the weights of many fine-tunings, which Fine-tuning with Very
# Large Dropout compares itself with.
SOUPS = RUN.very_large_dropout.soups
METRICS_FILES.append(f"{DROPOUT_METRICS}/soups.csv")
STATISTICS.append(f"{DROPOUT_METRICS}/soups_statistics.csv")


rule compare_soups:
    input:
        **code("metrics/compare_soups.py"),
        individual=local(SOUPS.individual.location),
        uniform=local(SOUPS.uniform.location),
        greedy=local(SOUPS.greedy.location),
    output:
        table=f"{DROPOUT_METRICS}/soups.csv",
        statistics=f"{DROPOUT_METRICS}/soups_statistics.csv",
    log:
        f"{LOGS}/compare_soups.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_soups.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        level=RUN.metrics.confidence_level,
    message:
        "Published weight averages against their members"
    shell:
        run_script(
            "--individual {input.individual:q} --uniform {input.uniform:q}"
            " --greedy {input.greedy:q} --level {params.level} --output {output.table:q}"
            " --output-statistics {output.statistics:q}"
        )


rule soups:
    input:
        **code("figures/very_large_dropout/soups.py"),
        soups=rules.compare_soups.output.table,
    output:
        **figure_files(
            f"{RESULTS}/figures/very_large_dropout/soups",
            "soups",
            "Fine-tuning with Very Large Dropout",
            {"figure": "soups", "shows": "published weight averages and their members"},
        ),
    log:
        f"{LOGS}/soups.log",
    benchmark:
        f"{LOGS}/benchmarks/soups.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: published weight averages"
    shell:
        run_script(
            "--soups {input.soups:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


DROPOUT_FIGURES += rules.soups.output
