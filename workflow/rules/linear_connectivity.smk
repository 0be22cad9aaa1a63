# Linear Connectivity Reveals Generalization Strategies (arXiv 2205.12411).
from dissent import config_connectivity

CONNECTIVITY = RUN.linear_connectivity
CONNECTIVITY_METRICS = f"{RESULTS}/metrics/linear_connectivity"
CONNECTIVITY_FINETUNED = f"{RESULTS}/finetuned/linear_connectivity"
CONNECTIVITY_FIGURES = []
# What lies on the paths between the models of a family, by family, and the data sets it is of.
CONNECTIONS = {}
CONNECTED_DATA = []


def connectivity_figure(stem, caption, shows):
    paper = "Linear Connectivity Reveals Generalization Strategies"
    labels = {"figure": stem, "shows": shows}
    path = f"{RESULTS}/figures/linear_connectivity/{stem}"
    return figure_files(path, caption, paper, labels)


if CONNECTIVITY.published:

    include: "linear_connectivity_published.smk"


if CONNECTIVITY.text:

    include: "linear_connectivity_text.smk"


if CONNECTIVITY.images:

    include: "linear_connectivity_images.smk"


if CONNECTIONS:

    include: "linear_connectivity_metrics.smk"
    include: "linear_connectivity_figures.smk"


FIGURE_FILES += CONNECTIVITY_FIGURES


localrules:
    linear_connectivity,


rule linear_connectivity:
    input:
        CONNECTIVITY_FIGURES,
