# Data sets: images, labels, splits and example ids, one file each; and what they are fetched from.
PACKED = [name for name in RUN.data if RUN.data[name].kind == "images"]
DATA_FILES = [
    *(data_file(name) for name in RUN.data),
    *(encoded_file(name) for name in PACKED),
]
MADE = [name for name in RUN.data if not RUN.data[name].labels and name not in PACKED]
READ = [name for name in RUN.data if RUN.data[name].labels and name not in PACKED]
# By the path of the fetched file, what is fetched; the same address once.
DOWNLOADS = {
    local(file.location): file
    for file in (*MODELS.values(), *PREDICTIONS.values(), *(file for _, file in downloads(RUN)))
    if is_address(file.location or "")
}

for name in RUN.data:
    where = f"{workflow.configfiles[-1]}, data.{name}"
    if RUN.data[name].labels:
        location = RUN.data[name].labels.location
        refuse_missing(location, f"{where}.labels.location", data_file(name))
    if isinstance(RUN.data[name].classes, str):
        refuse_missing(RUN.data[name].classes, f"{where}.classes", data_file(name))
    for i, file in enumerate(RUN.data[name].images):
        refuse_missing(file.location, f"{where}.images.{i}.location", data_file(name))


# A job's record is written by a command that names its inputs.
MOST_CHARACTERS = 800_000
# Memory is asked for as if a packed data set of unknown size had so many images.
MOST_PACKED = 25_000


def images_in(name):
    """The images of a data set in a folder; if there are none any more, those it was made from."""
    folder = RUN.data[name].location
    where = f"{workflow.configfiles[-1]}, data.{name}.location"
    levels = 2 if RUN.data[name].kind == "domain_folder" else 1
    images = image_files(folder, levels) if folder else []
    if sum(map(len, images)) > MOST_CHARACTERS:
        raise WorkflowError(
            f"{where}: the paths of the {len(images):,} images in {folder!r} are longer than "
            "a command may be; take fewer images, or a folder with a shorter path"
        )
    if images or not folder:
        return images
    record = Path(f"{RESULTS}/provenance/data/{name}.safetensors.json")
    if not record.exists() and not Path(folder).is_dir():
        raise WorkflowError(
            f"{where}: there is no folder {folder!r}; paths are relative to the project's folder"
        )
    known = json.loads(record.read_text())["inputs"] if record.exists() else []
    return sorted(path for path in known if Path(path).is_relative_to(folder))


IMAGES = {name: images_in(name) for name in MADE}


def n_images(name):
    """How many images a data set in a folder has; of one that is packed, as many as it may have."""
    splits = RUN.data[name].splits
    packed = sum(splits.values()) if "report" in splits else MOST_PACKED
    return packed if RUN.data[name].images else len(IMAGES[name])


def decoded_mb(name):
    """Memory that the images of a data set in a folder take, as bytes."""
    return n_images(name) * 3 * (RUN.data[name].size or 0) ** 2 // 10**6


def one_of(names):
    """A wildcard's pattern: exactly these."""
    return "|".join(map(re.escape, names)) or "(?!)"


def layout_of(name):
    """How the file of a data set's labels is read, if it has one, for a command-line argument.

    Where the file is from is the fetch's affair: editing a citation should not read it again.
    """
    labels = RUN.data[name].labels
    exclude = {"location", "licence", "citation", "page"}
    return compact(labels.model_dump(exclude=exclude) if labels else None)


rule fetch:
    input:
        **code("data/fetch.py"),
    output:
        f"{RESULTS}/downloads/{{path}}",
    log:
        f"{LOGS}/fetch/{{path}}.log",
    benchmark:
        f"{LOGS}/benchmarks/fetch/{{path}}.tsv"
    wildcard_constraints:
        path=one_of(str(Path(path).relative_to(f"{RESULTS}/downloads")) for path in DOWNLOADS),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        url=lambda wildcards: DOWNLOADS[f"{RESULTS}/downloads/{wildcards.path}"].location,
        sha256=lambda wildcards: DOWNLOADS[f"{RESULTS}/downloads/{wildcards.path}"].sha256 or "",
        licence=lambda wildcards: DOWNLOADS[f"{RESULTS}/downloads/{wildcards.path}"].licence or "",
        citation=lambda wildcards: DOWNLOADS[f"{RESULTS}/downloads/{wildcards.path}"].citation or "",
        page=lambda wildcards: (
            getattr(DOWNLOADS[f"{RESULTS}/downloads/{wildcards.path}"], "page", None) or ""
        ),
    message:
        "Fetching {wildcards.path}"
    shell:
        run_script(
            "--url {params.url:q} --sha256 {params.sha256:q} --licence {params.licence:q}"
            " --citation {params.citation:q} --page {params.page:q} --output {output:q}"
        )


rule read_labels:
    input:
        **code("data/read_labels.py"),
        labels=lambda wildcards: local(RUN.data[wildcards.name].labels.location),
        relabels=lambda wildcards: (
            data_file(RUN.data[wildcards.name].relabels)
            if RUN.data[wildcards.name].relabels
            else []
        ),
    output:
        f"{RESULTS}/data/{{name}}.safetensors",
    log:
        f"{LOGS}/read_labels/{{name}}.log",
    benchmark:
        f"{LOGS}/benchmarks/read_labels/{{name}}.tsv"
    wildcard_constraints:
        name=one_of(READ),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        layout=lambda wildcards: layout_of(wildcards.name),
        classes=lambda wildcards: compact(RUN.data[wildcards.name].classes),
        seed=lambda wildcards: RUN.data[wildcards.name].seed,
        splits=lambda wildcards: compact(RUN.data[wildcards.name].splits),
        row_order=lambda wildcards: RUN.data[wildcards.name].row_order or "",
    message:
        "Labels of {wildcards.name}"
    shell:
        run_script(
            "--name {wildcards.name:q} --labels {input.labels:q} --layout {params.layout:q}"
            " --classes {params.classes:q} --seed {params.seed} --splits {params.splits:q}"
            " --row-order {params.row_order:q} --relabels {input.relabels:q} --output {output:q}"
        )


rule read_images:
    input:
        **code("data/read_images.py"),
        images=lambda wildcards: [local(file.location) for file in RUN.data[wildcards.name].images],
        labels=lambda wildcards: (
            local(RUN.data[wildcards.name].labels.location)
            if RUN.data[wildcards.name].labels
            else []
        ),
        class_names=lambda wildcards: (
            RUN.data[wildcards.name].classes
            if isinstance(RUN.data[wildcards.name].classes, str)
            else []
        ),
    output:
        f"{RESULTS}/data/{{name}}.safetensors",
        encoded=f"{RESULTS}/data/{{name}}.images",
    log:
        f"{LOGS}/read_images/{{name}}.log",
    benchmark:
        f"{LOGS}/benchmarks/read_images/{{name}}.tsv"
    wildcard_constraints:
        name=one_of(PACKED),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        sha256=lambda wildcards: compact([file.sha256 for file in RUN.data[wildcards.name].images]),
        layout=lambda wildcards: layout_of(wildcards.name),
        classes=lambda wildcards: compact(
            None
            if isinstance(RUN.data[wildcards.name].classes, str)
            else RUN.data[wildcards.name].classes
        ),
        seed=lambda wildcards: RUN.data[wildcards.name].seed,
        splits=lambda wildcards: compact(RUN.data[wildcards.name].splits),
        # Of files that no job fetches, for readers of the record.
        licences=lambda wildcards: [
            file.licence or ""
            for file in RUN.data[wildcards.name].images
            if not is_address(file.location)
        ],
        citations=lambda wildcards: [
            file.citation or ""
            for file in RUN.data[wildcards.name].images
            if not is_address(file.location)
        ],
    message:
        "Images of {wildcards.name}"
    shell:
        run_script(
            "--name {wildcards.name:q} --images {input.images:q} --sha256 {params.sha256:q}"
            " --labels {input.labels:q} --layout {params.layout:q} --classes {params.classes:q}"
            " --class-names {input.class_names:q} --seed {params.seed}"
            " --splits {params.splits:q} --output {output[0]:q}"
        )


rule make_dataset:
    input:
        **code("data/make_dataset.py"),
        apart_from=lambda wildcards: (
            data_file(RUN.data[wildcards.name].apart_from)
            if RUN.data[wildcards.name].apart_from
            else []
        ),
        images=lambda wildcards: (
            IMAGES[wildcards.name]
            or [local(file.location) for file in RUN.data[wildcards.name].images]
        ),
    output:
        f"{RESULTS}/data/{{name}}.safetensors",
    log:
        f"{LOGS}/make_dataset/{{name}}.log",
    benchmark:
        f"{LOGS}/benchmarks/make_dataset/{{name}}.tsv"
    wildcard_constraints:
        name=one_of(MADE),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        # Images of one's own are held at once, and then written.
        mem_mb=lambda wildcards: (
            1000
            + n_images(wildcards.name) * 8 * (RUN.data[wildcards.name].size or 0) ** 2 // 10**6
        ),
    params:
        kind=lambda wildcards: RUN.data[wildcards.name].kind,
        seed=lambda wildcards: RUN.data[wildcards.name].seed,
        size=lambda wildcards: RUN.data[wildcards.name].size or "",
        splits=lambda wildcards: compact(RUN.data[wildcards.name].splits),
        location=lambda wildcards: RUN.data[wildcards.name].location or "",
        files=lambda wildcards: compact(
            [
                {"path": local(file.location), "sha256": file.sha256, "split": file.split}
                for file in RUN.data[wildcards.name].images
            ]
        ),
        classes=lambda wildcards: compact(RUN.data[wildcards.name].classes),
        domains=lambda wildcards: RUN.data[wildcards.name].domains,
        breakers=lambda wildcards: (
            "" if RUN.data[wildcards.name].breakers is None else RUN.data[wildcards.name].breakers
        ),
    message:
        "Data set {wildcards.name}"
    shell:
        run_script(
            "--name {wildcards.name:q} --kind {params.kind:q} --seed {params.seed}"
            " --size {params.size} --splits {params.splits:q} --apart-from {input.apart_from:q}"
            " --location {params.location:q} --files {params.files:q}"
            " --classes {params.classes:q} --domains {params.domains:q}"
            " --breakers {params.breakers:q} --output {output:q}"
        )
