# The figures of No One Representation to Rule Them All, each from metrics tables alone.
FIGURE_FORMATS = ("svg", "pdf", "png", "csv")


def paper_figure(stem, shows):
    """The four files of a figure; the svg goes into the report, with the caption of that name."""
    files = {suffix: f"{PAPER_FIGURES}/{stem}.{suffix}" for suffix in FIGURE_FORMATS}
    in_report = report(
        files["svg"],
        caption=f"../report/{stem}.rst",
        category="No One Representation to Rule Them All",
        labels={"figure": stem[len("fig")], "shows": shows},
    )
    return files | {"svg": in_report}


rule fig1_error_inconsistency:
    input:
        **code("figures/no_one_representation/fig1_error_inconsistency.py"),
        pairs=PAIR_TABLE,
        categories=f"{PAPER_METRICS}/base_pairs_categories.csv",
    output:
        **paper_figure("fig1_error_inconsistency", "error inconsistency by category"),
    log:
        f"{LOGS}/fig1_error_inconsistency.log",
    benchmark:
        f"{LOGS}/benchmarks/fig1_error_inconsistency.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        base=PAPER.base_model,
        level=RUN.metrics.confidence_level,
    message:
        "Figure 1: error inconsistency by category"
    shell:
        run_script(
            "--pairs {input.pairs:q} --categories {input.categories:q} --base {params.base:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )


rule fig2_ensemble_gain:
    input:
        **code("figures/no_one_representation/fig2_ensemble_gain.py"),
        pairs=PAIR_TABLE,
    output:
        **paper_figure("fig2_ensemble_gain", "gain of pair ensembles"),
    log:
        f"{LOGS}/fig2_ensemble_gain.log",
    benchmark:
        f"{LOGS}/benchmarks/fig2_ensemble_gain.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        base=PAPER.base_model,
        rule=RUN.metrics.ensemble_rule,
        level=RUN.metrics.confidence_level,
    message:
        "Figure 2: gain of pair ensembles"
    shell:
        run_script(
            "--pairs {input.pairs:q} --base {params.base:q} --rule {params.rule:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )


rule fig3_specialisation:
    input:
        **code("figures/no_one_representation/fig3_specialisation.py"),
        angles=f"{PAPER_METRICS}/angles.csv",
    output:
        **paper_figure("fig3_specialisation", "who is confident where who is right"),
    log:
        f"{LOGS}/fig3_specialisation.log",
    benchmark:
        f"{LOGS}/benchmarks/fig3_specialisation.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        categories=categories_of(dict(PAPER.compared).values()),
    message:
        "Figure 3: confidence angles"
    shell:
        run_script(
            "--angles {input.angles:q} --categories {params.categories:q} --run {params.run:q}"
            " --output {output:q}"
        )


rule fig4_classes:
    input:
        **code("figures/no_one_representation/fig4_classes.py"),
        angles=f"{PAPER_METRICS}/angles.csv",
        classes=f"{PAPER_METRICS}/classes.csv",
    output:
        **paper_figure("fig4_classes", "specialisation by class"),
    log:
        f"{LOGS}/fig4_classes.log",
    benchmark:
        f"{LOGS}/benchmarks/fig4_classes.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        categories=categories_of(dict(PAPER.compared).values()),
        level=RUN.metrics.confidence_level,
    message:
        "Figure 4: specialisation by class"
    shell:
        run_script(
            "--angles {input.angles:q} --classes {input.classes:q}"
            " --categories {params.categories:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


rule fig5_greedy:
    input:
        **code("figures/no_one_representation/fig5_greedy.py"),
        greedy=f"{PAPER_METRICS}/greedy.csv",
    output:
        **paper_figure("fig5_greedy", "weak models added to strong ones"),
    log:
        f"{LOGS}/fig5_greedy.log",
    benchmark:
        f"{LOGS}/benchmarks/fig5_greedy.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure 5: weak models added to strong ones"
    shell:
        run_script(
            "--greedy {input.greedy:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


rule fig6_features:
    input:
        **code("figures/no_one_representation/fig6_features.py"),
        mixing=f"{PAPER_METRICS}/feature_mixing.csv",
        selection=f"{PAPER_METRICS}/feature_selection.csv",
    output:
        **paper_figure("fig6_features", "probes on features of two models"),
    log:
        f"{LOGS}/fig6_features.log",
    benchmark:
        f"{LOGS}/benchmarks/fig6_features.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        base=PAPER.base_model,
        level=RUN.metrics.confidence_level,
    message:
        "Figure 6: probes on features of two models"
    shell:
        run_script(
            "--mixing {input.mixing:q} --selection {input.selection:q} --base {params.base:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )


rule fig7_downstream:
    input:
        **code("figures/no_one_representation/fig7_downstream.py"),
        singles=f"{PAPER_METRICS}/downstream_singles.csv",
        pairs=f"{PAPER_METRICS}/downstream_pairs.csv",
    output:
        **paper_figure("fig7_downstream", "probes on another task"),
    log:
        f"{LOGS}/fig7_downstream.log",
    benchmark:
        f"{LOGS}/benchmarks/fig7_downstream.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        categories=categories_of(PAPER.downstream.models),
        level=RUN.metrics.confidence_level,
    message:
        "Figure 7: probes on another task"
    shell:
        run_script(
            "--singles {input.singles:q} --pairs {input.pairs:q}"
            " --categories {params.categories:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


FIGURE_FILES = [
    *rules.fig1_error_inconsistency.output,
    *rules.fig2_ensemble_gain.output,
    *rules.fig3_specialisation.output,
    *rules.fig4_classes.output,
    *rules.fig5_greedy.output,
    *rules.fig6_features.output,
    *rules.fig7_downstream.output,
]


rule no_one_representation:
    input:
        FIGURE_FILES,
