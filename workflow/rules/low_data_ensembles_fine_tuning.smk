# Candidates are ranked on each task, the best are fine-tuned, and ensembles of them chosen.
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
