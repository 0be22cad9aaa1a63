# The figures of Deep Ensembles for Low-Data Transfer Learning, each from metrics tables alone.
def low_data_figure(stem, shows):
    return figure_files(
        f"{RESULTS}/figures/low_data_ensembles/{stem}",
        f"low_data_{stem}",
        "Deep Ensembles for Low-Data Transfer Learning",
        {"figure": stem, "shows": shows},
    )


# What is drawn of the table of methods: over all tasks, or task by task.
OF_METHODS = {
    "methods": ("score by group of tasks", f"{LOW_DATA_METRICS}/methods.csv"),
    "budget": ("score by inference budget", of_all_tasks(measured_of_task("methods"))),
    "sizes": (
        "score by candidates fine-tuned and by ensemble size",
        of_all_tasks(measured_of_task("methods")),
    ),
}


for stem, (shows, tables) in OF_METHODS.items():

    rule:
        name:
            f"low_data_{stem}"
        input:
            **code(f"figures/low_data_ensembles/{stem}.py"),
            methods=tables,
        output:
            **low_data_figure(stem, shows),
        log:
            f"{LOGS}/low_data_{stem}.log",
        benchmark:
            f"{LOGS}/benchmarks/low_data_{stem}.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            run=RUN.run,
            level=RUN.metrics.confidence_level,
        message:
            f"Figure: {shows}"
        shell:
            run_script(
                "--methods {input.methods:q} --run {params.run:q} --level {params.level}"
                " --output {output:q}"
            )


rule low_data_ranking:
    input:
        **code("figures/low_data_ensembles/ranking.py"),
        fine_tuned=of_all_tasks(measured_of_task("fine_tuned")),
        ranking=rules.compare_methods.output.ranking,
    output:
        **low_data_figure("ranking", "nearest-neighbour accuracy against fine-tuned score"),
    log:
        f"{LOGS}/low_data_ranking.log",
    benchmark:
        f"{LOGS}/benchmarks/low_data_ranking.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: nearest-neighbour accuracy against fine-tuned score"
    shell:
        run_script(
            "--fine-tuned {input.fine_tuned:q} --ranking {input.ranking:q} --run {params.run:q}"
            " --level {params.level} --output {output:q}"
        )


rule low_data_diversity:
    input:
        **code("figures/low_data_ensembles/diversity.py"),
        diversity=of_all_tasks(measured_of_task("diversity")),
    output:
        **low_data_figure("diversity", "diversity against gain"),
    log:
        f"{LOGS}/low_data_diversity.log",
    benchmark:
        f"{LOGS}/benchmarks/low_data_diversity.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: diversity against gain"
    shell:
        run_script(
            "--diversity {input.diversity:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


LOW_DATA_FIGURE_FILES = [
    file
    for stem in (*OF_METHODS, "ranking", "diversity")
    for file in getattr(rules, f"low_data_{stem}").output
]


if LOW_DATA.shift:

    rule low_data_robustness:
        input:
            **code("figures/low_data_ensembles/robustness.py"),
            robustness=rules.measure_robustness.output.table,
        output:
            **low_data_figure("robustness", "quality under shift"),
        log:
            f"{LOGS}/low_data_robustness.log",
        benchmark:
            f"{LOGS}/benchmarks/low_data_robustness.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            run=RUN.run,
            level=RUN.metrics.confidence_level,
        message:
            "Figure: quality under shift"
        shell:
            run_script(
                "--robustness {input.robustness:q} --run {params.run:q} --level {params.level}"
                " --output {output:q}"
            )

    LOW_DATA_FIGURE_FILES += rules.low_data_robustness.output


FIGURE_FILES += LOW_DATA_FIGURE_FILES


localrules:
    low_data_ensembles,


rule low_data_ensembles:
    input:
        LOW_DATA_FIGURE_FILES,
