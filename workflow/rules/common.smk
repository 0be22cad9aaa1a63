# The run's config and model table, checked, and what all rules share.
import json
from functools import cache

from snakemake.exceptions import WorkflowError

from dissent import config_low_data, config_table_checks, failures, hub
from dissent.commandline import InputError
from dissent.config import batches, load_models, load_run
from dissent.config_checks import downloads, is_address
from dissent.config_data import DRAWN_DOMAINS, OFFERS, Format
from dissent.config_fit import with_images
from dissent.config_shapes import CATEGORIES
from dissent.fetching import local_path
from dissent.image_files import image_files
from dissent.provenance import guard
from dissent.provenance.imports import local_modules
from dissent.provenance.record import recorded
from dissent.provenance.snakemake_internals import (
    leave_locks_of_others,
    wake_by_one_timer,
)

wake_by_one_timer()
leave_locks_of_others()
try:
    RUN = load_run(config, workflow.configfiles[-1])
    MODELS, PREDICTIONS = load_models(RUN.models, RUN)
except InputError as error:
    raise WorkflowError(str(error)) from None

BATCHES = batches(row for row in MODELS.values() if row.source != "predictions")
# The data sets of images on which models are compared, by themselves or relabelled.
COMPARED = [
    data
    for data in dict.fromkeys(RUN.data[name].relabels or name for name in RUN.metrics.data)
    if with_images(RUN, data)
]
# Of these, the ones whose images stay as they were published.
ENCODED = [data for data in COMPARED if OFFERS[RUN.data[data].kind].encoded]
# Models that are fine-tuned with dropout, and compared with no others.
STARTS = config_table_checks.starts(RUN)
# Minutes that a job may take that trains networks: on a GPU these are large ones.
RUNTIME = 1440 if RUN.gpus else 60
RESULTS = f"results/{RUN.run}"
LOGS = f"logs/{RUN.run}"
CATEGORY_OF = {model: MODELS[model].category for model in MODELS}


@cache
def code(script):
    """A rule's script, every module of this project it imports, and its environment, as inputs.

    Inputs are compared by content, so that editing a module or moving a pin re-runs just the jobs
    that use it.
    """
    path = Path("workflow/scripts") / script
    if path.stem.endswith("_text"):
        family = "text"
    elif path.parts[2] in ("checkpoints", "finetuned") or path.name in (
        "cache_logits.py",
        "cache_image_logits.py",
    ):
        family = "torch"
    else:
        family = "analysis"
    return {
        "script": str(path),
        "modules": local_modules(path),
        "environment": f"envs/{family}.yaml",
    }


def run_script(arguments):
    """A rule's shell command: its script with these arguments, and the record of the job."""
    return recorded(
        "python {input.script} " + arguments + " --log {log:q}", f"{RESULTS}/provenance"
    )


def data_file(name):
    return f"{RESULTS}/data/{name}.safetensors"


def encoded_file(name):
    """The images of a data set whose images stay as they were published, beside its data file."""
    return f"{RESULTS}/data/{name}.images"


def checkpoint_file(model):
    return f"{RESULTS}/checkpoints/{model}.safetensors"


def logits_file(model, data):
    """What a model says of a data set; new labels of old examples change nothing about that."""
    return f"{RESULTS}/logits/{RUN.data[data].relabels or data}/{model}.safetensors"


def models_on(data):
    """The models that say something of a data set."""
    return config_table_checks.models_on(data, RUN, MODELS, PREDICTIONS)


def local(location):
    """Where a job finds a file that the config names: an address is fetched first."""
    return f"{RESULTS}/downloads/{local_path(location)}" if is_address(location) else location


def categories_of(models):
    """Model id to category of just these, so that a new row of the model table changes nothing."""
    return compact({model: CATEGORY_OF[model] for model in models})


FIGURE_FORMATS = ("svg", "pdf", "png", "csv")


def figure_files(stem, caption, category, labels):
    """The four files of a figure; the svg goes into the report, with a caption."""
    files = {suffix: f"{stem}.{suffix}" for suffix in FIGURE_FORMATS}
    caption = f"../report/{caption}.rst"
    in_report = report(files["svg"], caption=caption, category=category, labels=labels)
    return files | {"svg": in_report}


def refuse_missing(location, where, made):
    """Stop where a file that the config names is not there, and not what `made` was made from.

    Snakemake itself passes over a missing source where later files are there from before. A
    colleague's clone, in which the job is recorded, may do without it. `made` is the first output.
    """
    record = Path(f"{RESULTS}/provenance/{Path(made).relative_to(RESULTS)}.json")
    if is_address(location) or Path(location).exists():
        return
    if not (record.exists() and location in json.loads(record.read_text())["inputs"]):
        raise WorkflowError(
            f"{where}: there is no file {location!r}; paths are relative to the project's folder"
        )


def compact(value):
    """A config value as one line of JSON, for a command-line argument."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
