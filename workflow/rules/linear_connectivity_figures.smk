# The figures of what lies between models, each from metrics tables alone.
# What each shows, of which tables, and whether this run has that.
OF_TEXT = bool(CONNECTIVITY.text)
ALONG_TRAINING = OF_TEXT and bool(TEXT.start) and TEXT.fine_tuning.checkpoints > 1
OF_CONNECTIVITY = {
    "curves": ("loss along paths between models", ["curves"], OF_TEXT),
    "planes": (
        "loss in planes through three models",
        ["planes", "plane_points"],
        OF_TEXT and bool(TEXT.planes),
    ),
    "gaps": ("convexity gaps of all pairs", ["pairs", "members"], OF_TEXT),
    "membership": ("cluster membership and strategy", ["members", "separation"], OF_TEXT),
    "dynamics": ("membership during fine-tuning", ["dynamics", "members"], ALONG_TRAINING),
    "clusters": ("accuracy by cluster", ["members", "diagnostics"], OF_TEXT),
    "distributions": ("diagnostic groups by cluster", ["diagnostics", "members"], OF_TEXT),
    "eigenvalues": ("are there clusters?", ["clusters"], OF_TEXT),
    "metric_checks": ("is the convexity gap a metric?", ["checks", "pairs"], OF_TEXT),
    "sharpness": (
        "sharpness and membership as predictors",
        ["members", "separation"],
        OF_TEXT and bool(TEXT.sharpness),
    ),
    "other_metrics": ("other measures of connectivity", ["pairs"], OF_TEXT),
    "images": ("paths between image classifiers", ["curves", "pairs"], bool(CONNECTIVITY.images)),
}
# These say which accuracy tells strategies apart.
OF_STRATEGY = ("membership", "sharpness")


for stem, (shows, tables, is_there) in OF_CONNECTIVITY.items():
    if not is_there:
        continue
    drawn = {table: CONNECTIVITY_TABLES[table] for table in tables}
    files = connectivity_figure(stem, f"connectivity_{stem}", shows)
    CONNECTIVITY_FIGURES += files.values()

    rule:
        name:
            f"connectivity_{stem}"
        input:
            **code(f"figures/linear_connectivity/{stem}.py"),
            **drawn,
        output:
            **files,
        log:
            f"{LOGS}/connectivity_{stem}.log",
        benchmark:
            f"{LOGS}/benchmarks/connectivity_{stem}.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            tables=[
                word
                for table, path in drawn.items()
                for word in (f"--{table.replace('_', '-')}", path)
            ],
            strategy=(
                ["--strategy", TEXT.strategy.data, TEXT.strategy.group]
                if stem in OF_STRATEGY
                else []
            ),
            run=RUN.run,
            level=RUN.metrics.confidence_level,
        message:
            f"Figure: {shows}"
        shell:
            run_script(
                "--run {params.run:q} --level {params.level} {params.tables:q}"
                " {params.strategy:q} --output {output:q}"
            )
