# The figures of No One Representation to Rule Them All, each from metrics tables alone.
def paper_figure(stem, shows):
    """The four files of a figure of this paper, numbered as there if its stem is."""
    number = re.match(r"fig(\d+)_", stem)
    labels = {"figure": number[1] if number else stem, "shows": shows}
    paper = "No One Representation to Rule Them All"
    return figure_files(f"{PAPER_FIGURES}/{stem}", stem, paper, labels)


rule fig1_error_inconsistency:
    input:
        **code("figures/no_one_representation/fig1_error_inconsistency.py"),
        pairs=pair_table(PAPER.data),
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
        pairs=pair_table(PAPER.data),
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
        categories=categories_of(PAPER.compared),
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
        categories=categories_of(PAPER.compared),
        level=RUN.metrics.confidence_level,
    message:
        "Figure 4: specialisation by class"
    shell:
        run_script(
            "--angles {input.angles:q} --classes {input.classes:q}"
            " --categories {params.categories:q} --run {params.run:q} --level {params.level}"
            " --output {output:q}"
        )


if PAPER.greedy:

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


if PAPER.feature_mixing:

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


if PAPER.downstream:

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


if PAPER.shift:

    rule shift_inconsistency:
        input:
            **code("figures/no_one_representation/shift_inconsistency.py"),
            means=f"{PAPER_METRICS}/shift.csv",
            pairs=f"{PAPER_METRICS}/shift_pairs.csv",
        output:
            **paper_figure("shift_inconsistency", "error inconsistency under distribution shift"),
        log:
            f"{LOGS}/shift_inconsistency.log",
        benchmark:
            f"{LOGS}/benchmarks/shift_inconsistency.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            run=RUN.run,
            original=PAPER.shift.original,
            level=RUN.metrics.confidence_level,
        message:
            "Figure: error inconsistency under distribution shift"
        shell:
            run_script(
                "--means {input.means:q} --pairs {input.pairs:q} --original {params.original:q}"
                " --run {params.run:q} --level {params.level} --output {output:q}"
            )


CALIBRATION_FIGURE = figure_files(
    f"{PAPER_FIGURES}/calibration_{{data}}",
    "calibration",
    "No One Representation to Rule Them All",
    {"figure": "calibration", "shows": "calibration of ensembles"},
)


rule calibration:
    input:
        **code("figures/no_one_representation/calibration.py"),
        table=calibration_metrics("{data}", "calibration"),
        bins=calibration_metrics("{data}", "reliability"),
    output:
        **CALIBRATION_FIGURE,
    log:
        f"{LOGS}/calibration/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/calibration/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(PAPER.calibration),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run=RUN.run,
        level=RUN.metrics.confidence_level,
    message:
        "Figure: calibration of ensembles on {wildcards.data}"
    shell:
        run_script(
            "--table {input.table:q} --bins {input.bins:q} --data-name {wildcards.data:q}"
            " --run {params.run:q} --level {params.level} --output {output:q}"
        )


PAPER_FIGURE_FILES = [
    *rules.fig1_error_inconsistency.output,
    *rules.fig2_ensemble_gain.output,
    *rules.fig3_specialisation.output,
    *rules.fig4_classes.output,
]
if PAPER.greedy:
    PAPER_FIGURE_FILES += rules.fig5_greedy.output
if PAPER.feature_mixing:
    PAPER_FIGURE_FILES += rules.fig6_features.output
if PAPER.downstream:
    PAPER_FIGURE_FILES += rules.fig7_downstream.output
if PAPER.shift:
    PAPER_FIGURE_FILES += rules.shift_inconsistency.output
PAPER_FIGURE_FILES += [
    f"{PAPER_FIGURES}/calibration_{data}.{suffix}"
    for data in PAPER.calibration
    for suffix in FIGURE_FORMATS
]
FIGURE_FILES += PAPER_FIGURE_FILES


localrules:
    no_one_representation,


rule no_one_representation:
    input:
        PAPER_FIGURE_FILES,
