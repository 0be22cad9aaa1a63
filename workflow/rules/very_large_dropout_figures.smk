# The figures of Fine-tuning with Very Large Dropout, each from metrics tables alone.
# What each shows, of which tables, and the family without which there is nothing to draw.
OF_DROPOUT = {
    "fig1_interpolation": ("between two fine-tunings", ["interpolation"], INTERPOLATION),
    "fig2_methods": ("dropout, ensembles and averages", ["runs", "methods", "mixtures"], None),
    "fig3_rates": ("dropout rates", ["runs", "methods", "mixtures"], None),
    "fig4_more_data": ("dropout rates with more data", ["runs"], "more-data"),
    "fig5_scratch": ("dropout rates from scratch", ["runs", "methods"], "scratch"),
    "fig6_head_rate": ("a faster head", ["runs"], "higher-head-rate"),
    "fig7_additions": (
        "ensembles and averages on top of dropout",
        ["runs", "methods", "mixtures"],
        None,
    ),
    "fig8_pretraining": ("poorer and richer pre-training", ["runs"], "poorer-model"),
    "fig9_linear": ("linear fine-tuning", ["runs", "methods"], LINEAR),
    "fig10_linear_last": ("the same without selection", ["runs", "methods"], LINEAR),
    "gains": ("gains by domain", ["gains"], None),
    "matched": ("gain at equal i.i.d. accuracy", ["curves", "matched"], None),
    "calibration": ("calibration by dropout rate", ["runs"], None),
    "widths": (
        "dropout rate and number of features",
        ["runs", "methods"],
        LINEAR if DROPOUT.linear and DROPOUT.linear.widths else "no widths",
    ),
}
TABLES_TO_DRAW = DROPOUT_TABLES | {"interpolation": f"{DROPOUT_METRICS}/interpolation.csv"}
DIGITISED = "config/digitised/very_large_dropout_figure3.csv"
OF_LARGE_RATE = ("fig2_methods", "fig6_head_rate", "fig7_additions", "gains")


for stem, (shows, tables, family) in OF_DROPOUT.items():
    if family and family not in FAMILIES:
        continue
    drawn = {table: TABLES_TO_DRAW[table] for table in tables}
    if stem == "fig3_rates":
        drawn["digitised"] = DIGITISED
    files = figure_files(
        f"{RESULTS}/figures/very_large_dropout/{stem}",
        f"dropout_{stem}",
        "Fine-tuning with Very Large Dropout",
        {"figure": stem.split("_")[0].removeprefix("fig"), "shows": shows},
    )
    DROPOUT_FIGURES += files.values()

    rule:
        name:
            f"dropout_{stem}"
        input:
            **code(f"figures/very_large_dropout/{stem}.py"),
            **drawn,
        output:
            **files,
        log:
            f"{LOGS}/dropout_{stem}.log",
        benchmark:
            f"{LOGS}/benchmarks/dropout_{stem}.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            tables=[word for table, path in drawn.items() for word in (f"--{table}", path)],
            large_rate=["--large-rate", DROPOUT.large_rate] if stem in OF_LARGE_RATE else [],
            run=RUN.run,
            level=RUN.metrics.confidence_level,
        message:
            f"Figure: {shows}"
        shell:
            run_script(
                "--run {params.run:q} --level {params.level} {params.tables:q}"
                " {params.large_rate:q} --output {output:q}"
            )
