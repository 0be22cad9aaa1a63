# Checkpoints: one safetensors file a model, trained here or taken over from a file.
# One rule a batch: the models of a batch share a process, since starting one costs seconds.
CHECKPOINT_FILES = [
    checkpoint_file(model) for model, row in MODELS.items() if row.source != "predictions"
]


def training_data(recipes):
    """The data sets that recipes learn from, each once."""
    names = {name for recipe in recipes for name in (*recipe.labels_per_class, *recipe.unlabelled)}
    return sorted(names)


for batch, members in BATCHES.items():
    trained = {member.model: member for member in members if member.source == "train"}
    if not trained:
        continue
    recipes = {model: RUN.recipes[trained[model].recipe] for model in trained}

    rule:
        name:
            f"train_{batch}"
        input:
            **code("checkpoints/train.py"),
            data=[data_file(name) for name in training_data(recipes.values())],
            teachers=[
                checkpoint_file(recipe.teacher) for recipe in recipes.values() if recipe.teacher
            ],
        output:
            [checkpoint_file(model) for model in trained],
        log:
            f"{LOGS}/train/{batch}.log",
        benchmark:
            f"{LOGS}/benchmarks/train/{batch}.tsv"
        # The longest jobs of the run: the scheduler should not leave them for last.
        priority: 1
        conda:
            "../../envs/torch.yaml"
        threads: RUN.threads
        resources:
            mem_mb=2000,
        params:
            models=compact(
                {
                    model: {
                        "recipe": recipes[model].model_dump(),
                        "seed": trained[model].seed,
                    }
                    for model in trained
                }
            ),
        message:
            f"Training {', '.join(trained)}"
        shell:
            run_script(
                "--models {params.models:q} --data {input.data:q} --teachers {input.teachers:q}"
                " --threads {threads} --output {output:q}"
            )


# Who takes over weights that others have trained, and on how many threads.
IMPORTS = {
    "file": ("checkpoints/import_checkpoint.py", 1),
    "open_clip": ("checkpoints/import_zero_shot.py", RUN.threads),
}
for model, row in MODELS.items():
    if row.source not in IMPORTS:
        continue
    script, n_threads = IMPORTS[row.source]
    refuse_missing(
        row.location, f"{RUN.models}, model {model!r}, column location", checkpoint_file(model)
    )

    rule:
        name:
            f"import_{model}"
        input:
            **code(script),
            weights=local(row.location),
            # Where models are compared, their classes are those of the data.
            data=[data_file(name) for name in COMPARED[:1] if model not in STARTS],
        output:
            checkpoint_file(model),
        log:
            f"{LOGS}/import_checkpoint/{model}.log",
        benchmark:
            f"{LOGS}/benchmarks/import_checkpoint/{model}.tsv"
        conda:
            "../../envs/torch.yaml"
        threads: n_threads
        resources:
            mem_mb=16000 if row.source == "open_clip" else 2000,
            # Of open_clip, 80 sentences for each class are read, on the CPU.
            runtime=600 if row.source == "open_clip" else 60,
        params:
            sha256=row.sha256 or "",
            architecture=row.architecture,
            # Of files that no job fetches, for readers of the record.
            licence=row.licence if not is_address(row.location) else None,
            citation=row.citation if not is_address(row.location) else None,
        message:
            f"Taking over {model}"
        shell:
            run_script(
                "--weights {input.weights:q} --sha256 {params.sha256:q}"
                " --architecture {params.architecture:q} --data {input.data:q} --threads {threads}"
                " --output {output:q}"
            )


TEXT_MODELS = RUN.linear_connectivity and RUN.linear_connectivity.text
for model, row in MODELS.items():
    if row.source != "transformers":
        continue
    # Of a hub id, the job itself finds the files.
    files, folder = [], Path(row.location)
    if not row.revision:
        found = sorted(path for path in folder.glob("*") if path.is_file())
        used = (".json", ".safetensors", ".txt", ".bin")
        files = [str(path) for path in found if path.suffix in used]
        weights = folder / hub.WEIGHTS
        if (folder / hub.PICKLED).exists() and not weights.exists():
            weights = folder / hub.PICKLED
        refuse_missing(
            str(weights),
            f"{RUN.models}, model {model!r}, column location",
            checkpoint_file(model),
        )

    # The tokenizer of another folder, if theirs is there.
    if TEXT_MODELS.tokenizer and not TEXT_MODELS.tokenizer.revision:
        there = Path(TEXT_MODELS.tokenizer.location)
        named = (hub.TOKENIZER, *hub.WORDS)
        files += [str(there / name) for name in named if (there / name).is_file()]

    rule:
        name:
            f"import_{model}"
        input:
            **code("checkpoints/import_text.py"),
            files=files,
        output:
            checkpoint_file(model),
        log:
            f"{LOGS}/import_text/{model}.log",
        benchmark:
            f"{LOGS}/benchmarks/import_text/{model}.tsv"
        conda:
            "../../envs/text.yaml"
        threads: 1
        resources:
            mem_mb=2000,
        params:
            location=row.location,
            revision=row.revision or "",
            sha256=row.sha256 or "",
            licence=row.licence or "",
            citation=row.citation or "",
            classes=compact(TEXT_MODELS.classes or None),
            tokenizer=TEXT_MODELS.tokenizer.location if TEXT_MODELS.tokenizer else "",
            tokenizer_revision=(
                TEXT_MODELS.tokenizer.revision or "" if TEXT_MODELS.tokenizer else ""
            ),
        message:
            f"Taking over {model}"
        shell:
            run_script(
                "--location {params.location:q} --revision {params.revision:q}"
                " --sha256 {params.sha256:q} --licence {params.licence:q}"
                " --citation {params.citation:q} --classes {params.classes:q}"
                " --tokenizer {params.tokenizer:q}"
                " --tokenizer-revision {params.tokenizer_revision:q} --output {output:q}"
            )
