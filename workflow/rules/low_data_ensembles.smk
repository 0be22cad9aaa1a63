# Deep Ensembles for Low-Data Transfer Learning (arXiv 2010.06866): candidates are ranked on each
# task, the best are fine-tuned, ensembles of them are chosen and then measured.
LOW_DATA = RUN.low_data_ensembles
TASKS = LOW_DATA.tasks
FINETUNED = f"{RESULTS}/finetuned"
LOW_DATA_METRICS = f"{RESULTS}/metrics/low_data_ensembles"
CANDIDATES = {
    model: category or "" for model, category in config_table_checks.candidates(RUN, MODELS).items()
}
CANDIDATE_CHECKPOINTS = [checkpoint_file(model) for model in CANDIDATES]
# Fine-tunings by the place in the ranking of the model they start from.
PLACES = config_low_data.places(LOW_DATA, CANDIDATES)
# Data sets on which no logits are cached already.
TASK_DATA = [
    data for data in dict.fromkeys(task.data for task in TASKS.values()) if data not in EVALUATED
]
CANDIDATE_BATCHES = {
    batch: [member.model for member in members if member.model in CANDIDATES]
    for batch, members in BATCHES.items()
    if TASK_DATA and any(member.model in CANDIDATES for member in members)
}
LOGITS_FILES += [logits_file(model, data) for data in TASK_DATA for model in CANDIDATES]


def task_data(wildcards):
    return data_file(TASKS[wildcards.task].data)


def of_task(name, suffix="csv"):
    """A file of each task before anything is measured on its report split."""
    return f"{FINETUNED}/{{task}}/{name}.{suffix}"


def measured_of_task(name, suffix="csv"):
    return f"{LOW_DATA_METRICS}/{{task}}/{name}.{suffix}"


def of_all_tasks(path):
    return expand(path, task=TASKS)


def fine_tunings(task):
    return [f"{FINETUNED}/{task}/{place}.safetensors" for place in PLACES]


RECIPE = compact(
    {
        leaf: getattr(LOW_DATA.fine_tuning, leaf)
        for leaf in ("batch_size", "momentum", "weight_decay", "warm_up", "decays")
    }
)
SHIFTED = [of_task("shifted", "safetensors")] if LOW_DATA.shift else []
# Trained again, the members are no longer those that were measured.
REFITTED = [of_task("ensemble", "txt")] if LOW_DATA.retrain else []
FINETUNED_FILES += [
    f"{FINETUNED}/costs.csv",
    *(file for task in TASKS for file in fine_tunings(task)),
    *of_all_tasks(of_task("ranking")),
    *of_all_tasks(of_task("chosen")),
    *of_all_tasks(of_task("ensemble", "safetensors")),
    *(file for files in (SHIFTED, REFITTED) for path in files for file in of_all_tasks(path)),
]
METRICS_FILES += [
    *of_all_tasks(measured_of_task("methods")),
    *of_all_tasks(measured_of_task("diversity")),
    *of_all_tasks(measured_of_task("fine_tuned")),
    *of_all_tasks(measured_of_task("scores", "safetensors")),
    *of_all_tasks(measured_of_task("verdict", "txt")),
    *(f"{LOW_DATA_METRICS}/{table}.csv" for table in ("methods", "differences", "ranking")),
]
STATISTICS.append(f"{LOW_DATA_METRICS}/statistics.csv")


for batch, members in CANDIDATE_BATCHES.items():

    rule:
        name:
            f"features_{batch}"
        input:
            **code("logits/cache_logits.py"),
            checkpoints=[checkpoint_file(member) for member in members],
            data=[data_file(name) for name in TASK_DATA],
        output:
            [logits_file(member, data) for data in TASK_DATA for member in members],
        log:
            f"{LOGS}/features/{batch}.log",
        benchmark:
            f"{LOGS}/benchmarks/features/{batch}.tsv"
        conda:
            "../../envs/torch.yaml"
        threads: RUN.threads
        resources:
            mem_mb=3000 + sum(map(decoded_mb, TASK_DATA)),
            runtime=RUNTIME,
            gpu=RUN.gpus,
        params:
            folder=f"{RESULTS}/logits",
        message:
            f"Features of {', '.join(members)} on the tasks"
        shell:
            # The report split has no part in the ranking.
            run_script(
                "--checkpoints {input.checkpoints:q} --data {input.data:q} --splits train tune"
                " --threads {threads} --gpus {resources.gpu} --output {params.folder:q}"
            )


rule count_costs:
    input:
        **code("finetuned/count_costs.py"),
        checkpoints=CANDIDATE_CHECKPOINTS,
    output:
        f"{FINETUNED}/costs.csv",
    log:
        f"{LOGS}/count_costs.log",
    benchmark:
        f"{LOGS}/benchmarks/count_costs.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    message:
        "Multiply-adds and parameters of every candidate"
    shell:
        run_script("--checkpoints {input.checkpoints:q} --output {output:q}")


rule rank_candidates:
    input:
        **code("selection/rank_candidates.py"),
        task=task_data,
        features=lambda wildcards: [
            logits_file(model, TASKS[wildcards.task].data) for model in CANDIDATES
        ],
    output:
        of_task("ranking"),
    log:
        f"{LOGS}/rank_candidates/{{task}}.log",
    benchmark:
        f"{LOGS}/benchmarks/rank_candidates/{{task}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS),
    # What is waited for longest, the fine-tuning, follows.
    priority: 1
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: 1000 + 2 * decoded_mb(TASKS[wildcards.task].data),
    params:
        categories=compact(CANDIDATES if LOW_DATA.pools else dict.fromkeys(CANDIDATES, "")),
        normalised=compact(LOW_DATA.ranking.normalised),
        level=RUN.metrics.confidence_level,
    message:
        "Nearest neighbours rank the candidates on {wildcards.task}"
    shell:
        run_script(
            "--task {input.task:q} --features {input.features:q}"
            " --categories {params.categories:q} --normalised {params.normalised:q}"
            " --level {params.level} --output {output:q}"
        )


for task in TASKS:
    for at in range(0, len(PLACES), LOW_DATA.fine_tuning.models_per_job):
        places = list(PLACES)[at : at + LOW_DATA.fine_tuning.models_per_job]

        rule:
            name:
                f"fine_tune_{task}_{places[0]}"
            input:
                **code("finetuned/fine_tune.py"),
                task=data_file(TASKS[task].data),
                ranking=f"{FINETUNED}/{task}/ranking.csv",
                # Which of them it takes is known only once they are ranked.
                checkpoints=[
                    checkpoint_file(model)
                    for model in CANDIDATES
                    if any(model in PLACES[place] for place in places)
                ],
            output:
                [f"{FINETUNED}/{task}/{place}.safetensors" for place in places],
            log:
                f"{LOGS}/fine_tune/{task}/{places[0]}.log",
            benchmark:
                f"{LOGS}/benchmarks/fine_tune/{task}/{places[0]}.tsv"
            priority: 1
            conda:
                "../../envs/torch.yaml"
            threads: RUN.threads
            resources:
                mem_mb=4000 + 2 * decoded_mb(TASKS[task].data),
                runtime=RUNTIME,
                gpu=RUN.gpus,
            params:
                settings=compact(config_low_data.settings(LOW_DATA.fine_tuning)),
                # What concerns other places alone changes nothing here.
                more_settings=compact(
                    config_low_data.more_settings(LOW_DATA.fine_tuning)
                    if "more-settings" in places
                    else []
                ),
                heads=LOW_DATA.fine_tuned if "more-heads" in places else 1,
                seeds=LOW_DATA.fine_tuning.seeds,
                recipe=RECIPE,
                # The record of a job names all its files: it is done again if they become others.
                places=places,
            message:
                f"Fine-tuning on {task}: {', '.join(places)}"
            shell:
                run_script(
                    "--task {input.task:q} --ranking {input.ranking:q}"
                    " --checkpoints {input.checkpoints:q} --settings {params.settings:q}"
                    " --more-settings {params.more_settings:q} --heads {params.heads}"
                    " --seeds {params.seeds} --recipe {params.recipe:q}"
                    " --threads {threads} --gpus {resources.gpu}"
                    " --output {output:q}"
                )


rule choose_ensembles:
    input:
        **code("selection/choose_ensembles.py"),
        task=task_data,
        ranking=of_task("ranking"),
        costs=rules.count_costs.output,
        fine_tunings=lambda wildcards: fine_tunings(wildcards.task),
    output:
        of_task("chosen"),
    log:
        f"{LOGS}/choose_ensembles/{{task}}.log",
    benchmark:
        f"{LOGS}/benchmarks/choose_ensembles/{{task}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS),
    priority: 1
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: 1000 + 2 * decoded_mb(TASKS[wildcards.task].data),
    params:
        fine_tuned=LOW_DATA.fine_tuned,
        pools=LOW_DATA.pools,
        max_members=LOW_DATA.selection.max_members,
        replacement=compact(LOW_DATA.selection.replacement),
        stop=LOW_DATA.selection.stop,
        bags=LOW_DATA.selection.bags,
        bag_share=LOW_DATA.selection.bag_share,
        budgets=LOW_DATA.budgets,
        random_draws=LOW_DATA.random_draws,
    message:
        "Choosing ensembles for {wildcards.task}"
    shell:
        run_script(
            "--task {input.task:q} --ranking {input.ranking:q} --costs {input.costs:q}"
            " --fine-tunings {input.fine_tunings:q} --fine-tuned {params.fine_tuned}"
            " --pools {params.pools:q} --max-members {params.max_members}"
            " --replacement {params.replacement:q} --stop {params.stop:q} --bags {params.bags}"
            " --bag-share {params.bag_share} --budgets {params.budgets:q}"
            " --random-draws {params.random_draws} --output {output:q}"
        )


rule refit_ensemble:
    input:
        **code("finetuned/refit_ensemble.py"),
        task=task_data,
        chosen=of_task("chosen"),
        checkpoints=CANDIDATE_CHECKPOINTS,
    output:
        ensemble=of_task("ensemble", "safetensors"),
        shifted=SHIFTED,
        verdict=REFITTED,
    log:
        f"{LOGS}/refit_ensemble/{{task}}.log",
    benchmark:
        f"{LOGS}/benchmarks/refit_ensemble/{{task}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS),
    conda:
        "../../envs/torch.yaml"
    threads: RUN.threads
    resources:
        mem_mb=lambda wildcards: 4000 + 2 * decoded_mb(TASKS[wildcards.task].data),
        runtime=RUNTIME,
        gpu=RUN.gpus,
    params:
        recipe=RECIPE,
        retrain=compact(LOW_DATA.retrain),
        shift=LOW_DATA.shift.examples if LOW_DATA.shift else 0,
        changed_by=lambda wildcards: TASKS[wildcards.task].changed_by,
        level=RUN.metrics.confidence_level,
    message:
        "The chosen ensemble for {wildcards.task}, ready to use"
    shell:
        run_script(
            "--task {input.task:q} --chosen {input.chosen:q} --checkpoints {input.checkpoints:q}"
            " --recipe {params.recipe:q} --retrain {params.retrain:q} --shift {params.shift}"
            " --changed-by {params.changed_by:q} --threads {threads} --gpus {resources.gpu}"
            " --output-ensemble {output.ensemble:q}"
            " --output-shifted {output.shifted:q} --level {params.level}"
            " --output-verdict {output.verdict:q}"
        )


rule evaluate_choices:
    input:
        **code("metrics/evaluate_choices.py"),
        task=task_data,
        ranking=of_task("ranking"),
        costs=rules.count_costs.output,
        chosen=of_task("chosen"),
        fine_tunings=lambda wildcards: fine_tunings(wildcards.task),
    output:
        methods=measured_of_task("methods"),
        diversity=measured_of_task("diversity"),
        fine_tuned=measured_of_task("fine_tuned"),
        scores=measured_of_task("scores", "safetensors"),
        verdict=measured_of_task("verdict", "txt"),
    log:
        f"{LOGS}/evaluate_choices/{{task}}.log",
    benchmark:
        f"{LOGS}/benchmarks/evaluate_choices/{{task}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: 1000 + 2 * decoded_mb(TASKS[wildcards.task].data),
    params:
        group=lambda wildcards: TASKS[wildcards.task].group,
        metric=lambda wildcards: TASKS[wildcards.task].metric,
        fine_tuned=LOW_DATA.fine_tuned,
        pools=LOW_DATA.pools,
        bins=RUN.metrics.calibration_bins,
        level=RUN.metrics.confidence_level,
    message:
        "How good the ensembles for {wildcards.task} are"
    shell:
        run_script(
            "--task {input.task:q} --name {wildcards.task:q} --group {params.group:q}"
            " --metric {params.metric:q} --ranking {input.ranking:q} --costs {input.costs:q}"
            " --chosen {input.chosen:q} --fine-tunings {input.fine_tunings:q}"
            " --fine-tuned {params.fine_tuned} --pools {params.pools:q} --bins {params.bins}"
            " --level {params.level} --output-methods {output.methods:q}"
            " --output-diversity {output.diversity:q} --output-fine-tuned {output.fine_tuned:q}"
            " --output-scores {output.scores:q} --output-verdict {output.verdict:q}"
        )


rule compare_methods:
    input:
        **code("metrics/compare_methods.py"),
        methods=of_all_tasks(measured_of_task("methods")),
        diversity=of_all_tasks(measured_of_task("diversity")),
        fine_tuned=of_all_tasks(measured_of_task("fine_tuned")),
        scores=of_all_tasks(measured_of_task("scores", "safetensors")),
    output:
        methods=f"{LOW_DATA_METRICS}/methods.csv",
        differences=f"{LOW_DATA_METRICS}/differences.csv",
        ranking=f"{LOW_DATA_METRICS}/ranking.csv",
        statistics=f"{LOW_DATA_METRICS}/statistics.csv",
    log:
        f"{LOGS}/compare_methods.log",
    benchmark:
        f"{LOGS}/benchmarks/compare_methods.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        fine_tuned=LOW_DATA.fine_tuned,
        level=RUN.metrics.confidence_level,
    message:
        "Ways to make an ensemble compared over the tasks"
    shell:
        run_script(
            "--methods {input.methods:q} --diversity {input.diversity:q}"
            " --fine-tuned {input.fine_tuned:q} --scores {input.scores:q}"
            " --fine-tuned-models {params.fine_tuned} --level {params.level}"
            " --output-methods {output.methods:q} --output-differences {output.differences:q}"
            " --output-ranking {output.ranking:q} --output-statistics {output.statistics:q}"
        )


if LOW_DATA.shift:
    METRICS_FILES.append(f"{LOW_DATA_METRICS}/robustness.csv")
    STATISTICS.append(f"{LOW_DATA_METRICS}/robustness_statistics.csv")

    rule measure_robustness:
        input:
            **code("metrics/measure_robustness.py"),
            shifted=of_all_tasks(SHIFTED[0]),
        output:
            table=f"{LOW_DATA_METRICS}/robustness.csv",
            statistics=f"{LOW_DATA_METRICS}/robustness_statistics.csv",
        log:
            f"{LOGS}/measure_robustness.log",
        benchmark:
            f"{LOGS}/benchmarks/measure_robustness.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            groups=compact({name: task.group for name, task in TASKS.items()}),
            bins=RUN.metrics.calibration_bins,
            level=RUN.metrics.confidence_level,
        message:
            "Fine-tuned models and ensembles on shifted images"
        shell:
            run_script(
                "--shifted {input.shifted:q} --groups {params.groups:q} --bins {params.bins}"
                " --level {params.level} --output {output.table:q}"
                " --output-statistics {output.statistics:q}"
            )
