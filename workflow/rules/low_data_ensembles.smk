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


include: "low_data_ensembles_fine_tuning.smk"
include: "low_data_ensembles_metrics.smk"
include: "low_data_ensembles_figures.smk"
