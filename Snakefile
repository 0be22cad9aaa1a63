# Targets: figures (all of them), each paper's short name, each phase, any file by its path.
# Another run: snakemake figures --configfile config/test.yaml
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

if not workflow.configfiles:

    configfile: "config/demo.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/logits.smk"
include: "workflow/rules/metrics.smk"


if RUN.ensembling:

    include: "workflow/rules/ensembling.smk"


if RUN.no_one_representation:

    include: "workflow/rules/no_one_representation.smk"
    include: "workflow/rules/no_one_representation_figures.smk"


if RUN.low_data_ensembles:

    include: "workflow/rules/low_data_ensembles.smk"


if RUN.linear_connectivity:

    include: "workflow/rules/linear_connectivity.smk"


if RUN.very_large_dropout:

    include: "workflow/rules/very_large_dropout.smk"


include: "workflow/rules/claims.smk"


# Last of all, since it looks at the outputs of every rule.
try:
    guard.check(workflow, Path(RESULTS))
except InputError as error:
    raise WorkflowError(str(error)) from None


report: "workflow/report/workflow.rst"


onerror:
    print(*failures.told(Path(log[0])), sep="\n", file=sys.stderr)


localrules:
    data,
    checkpoints,
    logits,
    finetuned,
    metrics,
    figures,


# The phases, in their order; dvc.yaml has a stage for each.
rule data:
    input:
        DATA_FILES,


rule checkpoints:
    input:
        CHECKPOINT_FILES,


rule logits:
    input:
        LOGITS_FILES,


rule finetuned:
    input:
        FINETUNED_FILES,


rule metrics:
    input:
        METRICS_FILES,
        STATISTICS,


rule figures:
    default_target: True
    input:
        FINETUNED_FILES,
        METRICS_FILES,
        FIGURE_FILES,
        CLAIMS_FILES,
