# How good the chosen ensembles of each task are, and the ways to choose them over all tasks.
rule evaluate_choices:
    input:
        **code("metrics/evaluate_choices.py"),
        task=task_data,
        ranking=of_task("ranking"),
        costs=rules.count_costs.output,
        chosen=of_task("chosen"),
        fine_tunings=lambda wildcards: fine_tunings(wildcards.task),
    output:
        methods=measured_of_task("methods"),
        diversity=measured_of_task("diversity"),
        fine_tuned=measured_of_task("fine_tuned"),
        scores=measured_of_task("scores", "safetensors"),
        verdict=measured_of_task("verdict", "txt"),
    log:
        f"{LOGS}/evaluate_choices/{{task}}.log",
    benchmark:
        f"{LOGS}/benchmarks/evaluate_choices/{{task}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: 1000 + 2 * decoded_mb(TASKS[wildcards.task].data),
    params:
        group=lambda wildcards: TASKS[wildcards.task].group,
        metric=lambda wildcards: TASKS[wildcards.task].metric,
        fine_tuned=LOW_DATA.fine_tuned,
        pools=LOW_DATA.pools,
        bins=RUN.metrics.calibration_bins,
        level=RUN.metrics.confidence_level,
    message:
        "How good the ensembles for {wildcards.task} are"
    shell:
        run_script(
            "--task {input.task:q} --name {wildcards.task:q} --group {params.group:q}"
            " --metric {params.metric:q} --ranking {input.ranking:q} --costs {input.costs:q}"
            " --chosen {input.chosen:q} --fine-tunings {input.fine_tunings:q}"
            " --fine-tuned {params.fine_tuned} --pools {params.pools:q} --bins {params.bins}"
            " --level {params.level} --output-methods {output.methods:q}"
            " --output-diversity {output.diversity:q} --output-fine-tuned {output.fine_tuned:q}"
            " --output-scores {output.scores:q} --output-verdict {output.verdict:q}"
        )


rule compare_methods:
    input:
        **code("metrics/compare_methods.py"),
        methods=of_all_tasks(measured_of_task("methods")),
        diversity=of_all_tasks(measured_of_task("diversity")),
        fine_tuned=of_all_tasks(measured_of_task("fine_tuned")),
        scores=of_all_tasks(measured_of_task("scores", "safetensors")),
    output:
        methods=f"{LOW_DATA_METRICS}/methods.csv",
        differences=f"{LOW_DATA_METRICS}/differences.csv",
        ranking=f"{LOW_DATA_METRICS}/ranking.csv",
        statistics=f"{LOW_DATA_METRICS}/statistics.csv",
    log:
        f"{LOGS}/compare_methods.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_methods.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        fine_tuned=LOW_DATA.fine_tuned,
        level=RUN.metrics.confidence_level,
    message:
        "Ways to make an ensemble compared over the tasks"
    shell:
        run_script(
            "--methods {input.methods:q} --diversity {input.diversity:q}"
            " --fine-tuned {input.fine_tuned:q} --scores {input.scores:q}"
            " --fine-tuned-models {params.fine_tuned} --level {params.level}"
            " --output-methods {output.methods:q} --output-differences {output.differences:q}"
            " --output-ranking {output.ranking:q} --output-statistics {output.statistics:q}"
        )


if LOW_DATA.shift:
    METRICS_FILES.append(f"{LOW_DATA_METRICS}/robustness.csv")
    STATISTICS.append(f"{LOW_DATA_METRICS}/robustness_statistics.csv")

    rule measure_robustness:
        input:
            **code("metrics/measure_robustness.py"),
            shifted=of_all_tasks(SHIFTED[0]),
        output:
            table=f"{LOW_DATA_METRICS}/robustness.csv",
            statistics=f"{LOW_DATA_METRICS}/robustness_statistics.csv",
        log:
            f"{LOGS}/measure_robustness.log",
        benchmark:
            f"{LOGS}/benchmarks/measure_robustness.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            groups=compact({name: task.group for name, task in TASKS.items()}),
            bins=RUN.metrics.calibration_bins,
            level=RUN.metrics.confidence_level,
        message:
            "Fine-tuned models and ensembles on shifted images"
        shell:
            run_script(
                "--shifted {input.shifted:q} --groups {params.groups:q} --bins {params.bins}"
                " --level {params.level} --output {output.table:q}"
                " --output-statistics {output.statistics:q}"
            )
