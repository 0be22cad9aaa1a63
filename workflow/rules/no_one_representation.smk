# No One Representation to Rule Them All (arXiv 2110.12899): its metrics and figures 1 to 7.
PAPER = RUN.no_one_representation
PAPER_METRICS = f"{RESULTS}/metrics/no_one_representation"
PAPER_FIGURES = f"{RESULTS}/figures/no_one_representation"
PAPER_LOGITS = logits_on(PAPER.data)
METRICS_FILES += [
    f"{PAPER_METRICS}/{name}.csv"
    for name in ("base_pairs", "base_pairs_categories", "angles", "classes")
]
STATISTICS.append(f"{PAPER_METRICS}/base_pairs_statistics.csv")


def compared_logits(models):
    return [logits_file(model, PAPER.data) for model in models]


rule relate_base_pairs:
    input:
        **code("metrics/relate_base_pairs.py"),
        data=data_file(PAPER.data),
        logits=PAPER_LOGITS,
        models=model_table(PAPER.data),
    output:
        pairs=f"{PAPER_METRICS}/base_pairs.csv",
        categories=f"{PAPER_METRICS}/base_pairs_categories.csv",
        statistics=f"{PAPER_METRICS}/base_pairs_statistics.csv",
    log:
        f"{LOGS}/relate_base_pairs.log",
    benchmark:
        f"{LOGS}/benchmarks/relate_base_pairs.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        base=PAPER.base_model,
        order=compact(CATEGORIES),
        report=RUN.metrics.report_split,
        rule=RUN.metrics.ensemble_rule,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Trends over pairs with {params.base}"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --models {input.models:q}"
            " --base {params.base:q} --order {params.order:q} --rule {params.rule:q}"
            " --report-split {params.report:q} --resamples {params.resamples:q}"
            " --level {params.level:q} --output-pairs {output.pairs:q}"
            " --output-categories {output.categories:q} --output-statistics {output.statistics:q}"
        )


rule measure_specialisation:
    input:
        **code("metrics/measure_specialisation.py"),
        data=data_file(PAPER.data),
        logits=compared_logits([PAPER.base_model, *PAPER.compared]),
    output:
        angles=f"{PAPER_METRICS}/angles.csv",
        classes=f"{PAPER_METRICS}/classes.csv",
    log:
        f"{LOGS}/measure_specialisation.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_specialisation.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        base=PAPER.base_model,
        tune=RUN.metrics.calibration_split,
        report=RUN.metrics.report_split,
    message:
        "Confidence angles of {params.base} and the compared models"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --base {params.base:q}"
            " --tune-split {params.tune:q} --report-split {params.report:q}"
            " --output-angles {output.angles:q} --output-classes {output.classes:q}"
        )


if PAPER.greedy:
    METRICS_FILES += [f"{PAPER_METRICS}/greedy.csv"]
    STATISTICS.append(f"{PAPER_METRICS}/greedy_statistics.csv")

    rule add_greedily:
        input:
            **code("metrics/add_greedily.py"),
            data=data_file(PAPER.data),
            logits=PAPER_LOGITS,
            models=model_table(PAPER.data),
        output:
            trajectories=f"{PAPER_METRICS}/greedy.csv",
            statistics=f"{PAPER_METRICS}/greedy_statistics.csv",
        log:
            f"{LOGS}/add_greedily.log",
        benchmark:
            f"{LOGS}/benchmarks/add_greedily.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            start=PAPER.greedy.start,
            highest=PAPER.accuracy_window[1],
            max_added=PAPER.greedy.max_added,
            tune=RUN.metrics.calibration_split,
            report=RUN.metrics.report_split,
            resamples=RUN.metrics.bootstrap_resamples,
            level=RUN.metrics.confidence_level,
        message:
            "Greedy addition of weak models to {params.start}"
        shell:
            run_script(
                "--data {input.data:q} --logits {input.logits:q} --models {input.models:q}"
                " --start {params.start:q} --highest {params.highest:q}"
                " --max-added {params.max_added:q} --tune-split {params.tune:q}"
                " --report-split {params.report:q} --resamples {params.resamples:q}"
                " --level {params.level:q} --output {output.trajectories:q}"
                " --output-statistics {output.statistics:q}"
            )


if PAPER.feature_mixing:
    METRICS_FILES += [
        f"{PAPER_METRICS}/feature_mixing.csv",
        f"{PAPER_METRICS}/feature_selection.csv",
    ]
    STATISTICS.append(f"{PAPER_METRICS}/features_statistics.csv")

    rule mix_features:
        input:
            **code("metrics/mix_features.py"),
            data=data_file(PAPER.data),
            base=logits_file(PAPER.base_model, PAPER.data),
            others=compared_logits(PAPER.feature_mixing.models),
        output:
            mixing=f"{PAPER_METRICS}/feature_mixing.csv",
            selection=f"{PAPER_METRICS}/feature_selection.csv",
            statistics=f"{PAPER_METRICS}/features_statistics.csv",
        log:
            f"{LOGS}/mix_features.log",
        benchmark:
            f"{LOGS}/benchmarks/mix_features.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            categories=categories_of(PAPER.feature_mixing.models),
            order=compact(CATEGORIES),
            shares=PAPER.feature_mixing.shares,
            kept=PAPER.feature_mixing.kept,
            repeats=PAPER.feature_mixing.repeats,
            tune=RUN.metrics.calibration_split,
            report=RUN.metrics.report_split,
            resamples=RUN.metrics.bootstrap_resamples,
            level=RUN.metrics.confidence_level,
        message:
            "Linear probes on mixed features"
        shell:
            run_script(
                "--data {input.data:q} --base {input.base:q} --others {input.others:q}"
                " --categories {params.categories:q} --order {params.order:q}"
                " --shares {params.shares:q} --kept {params.kept:q} --repeats {params.repeats:q}"
                " --train-split train --tune-split {params.tune:q} --report-split {params.report:q}"
                " --resamples {params.resamples:q} --level {params.level:q}"
                " --output-mixing {output.mixing:q} --output-selection {output.selection:q}"
                " --output-statistics {output.statistics:q}"
            )


if PAPER.downstream:
    METRICS_FILES += [
        f"{PAPER_METRICS}/downstream_singles.csv",
        f"{PAPER_METRICS}/downstream_pairs.csv",
    ]
    STATISTICS.append(f"{PAPER_METRICS}/downstream_statistics.csv")

    rule probe_downstream:
        input:
            **code("metrics/probe_downstream.py"),
            data=data_file(PAPER.downstream.data),
            features=[
                logits_file(model, PAPER.downstream.data) for model in PAPER.downstream.models
            ],
            compared_data=data_file(PAPER.data),
            compared_logits=compared_logits(PAPER.downstream.models),
        output:
            singles=f"{PAPER_METRICS}/downstream_singles.csv",
            pairs=f"{PAPER_METRICS}/downstream_pairs.csv",
            statistics=f"{PAPER_METRICS}/downstream_statistics.csv",
        log:
            f"{LOGS}/probe_downstream.log",
        benchmark:
            f"{LOGS}/benchmarks/probe_downstream.tsv"
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
            "Linear probes on the downstream task"
        shell:
            run_script(
                "--data {input.data:q} --features {input.features:q}"
                " --compared-data {input.compared_data:q} --compared-logits {input.compared_logits:q}"
                " --train-split train --report-split {params.report:q}"
                " --resamples {params.resamples:q} --level {params.level:q}"
                " --output-singles {output.singles:q} --output-pairs {output.pairs:q}"
                " --output-statistics {output.statistics:q}"
            )


if PAPER.shift:
    SHIFTED = [PAPER.shift.original, *PAPER.shift.shifted]
    # The models that say something of all of them.
    SHIFTED_MODELS = [
        model
        for model in models_on(PAPER.shift.original)
        if all(model in models_on(data) for data in SHIFTED)
    ]
    METRICS_FILES += [f"{PAPER_METRICS}/shift.csv", f"{PAPER_METRICS}/shift_pairs.csv"]

    rule measure_shift:
        input:
            **code("metrics/measure_shift.py"),
            data=[data_file(data) for data in SHIFTED],
            logits=[logits_file(model, data) for data in SHIFTED for model in SHIFTED_MODELS],
        output:
            means=f"{PAPER_METRICS}/shift.csv",
            pairs=f"{PAPER_METRICS}/shift_pairs.csv",
        log:
            f"{LOGS}/measure_shift.log",
        benchmark:
            f"{LOGS}/benchmarks/measure_shift.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            original=PAPER.shift.original,
            report=RUN.metrics.report_split,
            resamples=RUN.metrics.bootstrap_resamples,
            level=RUN.metrics.confidence_level,
        message:
            "Error inconsistency under distribution shift"
        shell:
            run_script(
                "--data {input.data:q} --logits {input.logits:q} --original {params.original:q}"
                " --report-split {params.report:q} --resamples {params.resamples}"
                " --level {params.level} --output-means {output.means:q}"
                " --output-pairs {output.pairs:q}"
            )


def calibration_metrics(data, table):
    return f"{RESULTS}/metrics/{data}/ensemble_{table}.csv"


METRICS_FILES += [
    calibration_metrics(data, table)
    for data in PAPER.calibration
    for table in ("calibration", "reliability")
]


rule measure_ensemble_calibration:
    input:
        **code("metrics/measure_ensemble_calibration.py"),
        data=data_file("{data}"),
        logits=lambda wildcards: logits_on(wildcards.data),
    output:
        table=calibration_metrics("{data}", "calibration"),
        bins=calibration_metrics("{data}", "reliability"),
    log:
        f"{LOGS}/measure_ensemble_calibration/{{data}}.log",
    benchmark:
        f"{LOGS}/benchmarks/measure_ensemble_calibration/{{data}}.tsv"
    wildcard_constraints:
        data=one_of(PAPER.calibration),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        tune=RUN.metrics.calibration_split,
        report=RUN.metrics.report_split,
        bins=RUN.metrics.calibration_bins,
        resamples=RUN.metrics.bootstrap_resamples,
        level=RUN.metrics.confidence_level,
    message:
        "Calibration of ensembles on {wildcards.data}"
    shell:
        run_script(
            "--data {input.data:q} --logits {input.logits:q} --tune-split {params.tune:q}"
            " --report-split {params.report:q} --bins {params.bins}"
            " --resamples {params.resamples} --level {params.level}"
            " --output-table {output.table:q} --output-bins {output.bins:q}"
        )
