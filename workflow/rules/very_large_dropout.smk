# Fine-tuning with Very Large Dropout (arXiv 2403.00946).
DROPOUT_METRICS = f"{RESULTS}/metrics/very_large_dropout"
DROPOUT_FIGURES = []


if RUN.very_large_dropout.soups:

    include: "very_large_dropout_soups.smk"


if RUN.very_large_dropout.domains:

    include: "very_large_dropout_domains.smk"
    include: "very_large_dropout_figures.smk"


FIGURE_FILES += DROPOUT_FIGURES


localrules:
    very_large_dropout,


rule very_large_dropout:
    input:
        DROPOUT_FIGURES,
