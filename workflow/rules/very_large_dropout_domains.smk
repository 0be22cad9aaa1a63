# Each domain of a data set is left out in turn: networks are fine-tuned on the others, one job a
# domain and a family of runs, and measured on all of them.
from itertools import groupby

from dissent import config_dropout

DROPOUT = RUN.very_large_dropout.domains
FAMILIES = config_dropout.families(DROPOUT)
LINEAR, INTERPOLATION = "linear", "interpolation"


def domains_of(name):
    """The domains of a data set: the folders of its folder, or those that are drawn."""
    folder = RUN.data[name].location
    if RUN.data[name].kind == "domains":
        return DRAWN_DOMAINS
    found = sorted(
        {Path(path).relative_to(folder).parts[0] for path in IMAGES[name]} or RUN.data[name].domains
    )
    for domain in found:
        if not re.fullmatch(r"\w[\w .-]*", domain) or domain == "all domains":
            raise WorkflowError(
                f"{workflow.configfiles[-1]}, data.{name}: the domain {domain!r} should "
                "begin with a letter or digit, hold but letters, digits, spaces and ._- (files are "
                "named after it), and not be 'all domains': rename its folder"
            )
    return found


DOMAINS = domains_of(DROPOUT.data)
# Of images of one's own, which are held at once.
IMAGES_MB = n_images(DROPOUT.data) * 6 * (RUN.data[DROPOUT.data].size or 0) ** 2 // 10**6


def of_domain(family):
    """What the runs of a family say, that never saw a domain."""
    suffix = "csv" if family == INTERPOLATION else "safetensors"
    return f"{RESULTS}/finetuned/very_large_dropout/{{domain}}/{family}.{suffix}"


def of_all_domains(family):
    return expand(of_domain(family), domain=DOMAINS)


RUNS_OF_FAMILIES = [
    file for family in FAMILIES if family != INTERPOLATION for file in of_all_domains(family)
]
INTERPOLATED = of_all_domains(INTERPOLATION) if INTERPOLATION in FAMILIES else []
FINETUNED_FILES += [*RUNS_OF_FAMILIES, *INTERPOLATED]
DROPOUT_TABLES = {
    table: f"{DROPOUT_METRICS}/{table}.csv"
    for table in ("runs", "curves", "methods", "gains", "mixtures", "matched")
}
INTERPOLATION_TABLE = [f"{DROPOUT_METRICS}/interpolation.csv"] if INTERPOLATED else []
METRICS_FILES += [*DROPOUT_TABLES.values(), *INTERPOLATION_TABLE]
STATISTICS.append(f"{DROPOUT_METRICS}/statistics.csv")


def start_of(family):
    """The model that the runs of a family start from."""
    return DROPOUT.poorer_model.model if family == "poorer-model" else DROPOUT.model


def families_of_jobs():
    """Families that share a job start from one model, so that none waits for the other's."""
    for _, of_model in groupby(sorted(FAMILIES, key=start_of), start_of):
        of_model = [*of_model]
        for at in range(0, len(of_model), DROPOUT.families_per_job):
            yield of_model[at : at + DROPOUT.families_per_job]


for families in families_of_jobs():

    rule:
        name:
            f"dropout_{families[0]}"
        input:
            **code("finetuned/fine_tune_with_dropout.py"),
            data=data_file(DROPOUT.data),
            checkpoint=checkpoint_file(start_of(families[0])),
        output:
            [of_domain(family) for family in families],
        log:
            f"{LOGS}/{families[0]}/{{domain}}.log",
        benchmark:
            f"{LOGS}/benchmarks/{families[0]}/{{domain}}.tsv"
        wildcard_constraints:
            domain=one_of(DOMAINS),
        # The longest jobs of the run: the scheduler should not leave them for last.
        priority: 1
        conda:
            "../../envs/torch.yaml"
        threads: RUN.threads
        resources:
            mem_mb=4000 + 2 * IMAGES_MB,
            runtime=RUNTIME,
            gpu=RUN.gpus,
        params:
            families=families,
            settings=[compact(FAMILIES[family]) for family in families],
        message:
            f"Fine-tuning without {{wildcards.domain}}: {', '.join(families)}"
        shell:
            run_script(
                "--data {input.data:q} --held-out {wildcards.domain:q} --family {params.families:q}"
                " --checkpoint {input.checkpoint:q} --settings {params.settings:q}"
                " --threads {threads} --gpus {resources.gpu} --output {output:q}"
            )


rule compare_dropout:
    input:
        **code("metrics/compare_dropout.py"),
        data=data_file(DROPOUT.data),
        runs=RUNS_OF_FAMILIES,
        interpolation=INTERPOLATED,
    output:
        **DROPOUT_TABLES,
        statistics=f"{DROPOUT_METRICS}/statistics.csv",
        interpolation=INTERPOLATION_TABLE,
    log:
        f"{LOGS}/compare_dropout.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_dropout.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000 + IMAGES_MB,
    params:
        large_rate=DROPOUT.large_rate,
        bins=RUN.metrics.calibration_bins,
        level=RUN.metrics.confidence_level,
    message:
        "Dropout compared with ensembles and averages, on domains seen and unseen"
    shell:
        run_script(
            "--data {input.data:q} --runs {input.runs:q} --interpolation {input.interpolation:q}"
            " --large-rate {params.large_rate} --bins {params.bins} --level {params.level}"
            " --output-runs {output.runs:q} --output-curves {output.curves:q}"
            " --output-methods {output.methods:q} --output-gains {output.gains:q}"
            " --output-mixtures {output.mixtures:q} --output-matched {output.matched:q}"
            " --output-statistics {output.statistics:q}"
            " --output-interpolation {output.interpolation:q}"
        )
