# The run's config and model table, checked, and what all rules share.
import json

from snakemake.exceptions import WorkflowError

from dissent.commandline import InputError
from dissent.config import batches, load_models, load_run
from dissent.config_shapes import CATEGORIES
from dissent.provenance import guard
from dissent.provenance.imports import local_modules
from dissent.provenance.record import recorded

try:
    RUN = load_run(config, workflow.configfiles[-1])
    MODELS = load_models(RUN.models, RUN)
except InputError as error:
    raise WorkflowError(str(error)) from None

BATCHES = batches(MODELS)
RESULTS = f"results/{RUN.run}"
LOGS = f"logs/{RUN.run}"
CATEGORY_OF = {model: MODELS[model].category for model in MODELS}


def code(script):
    """A rule's script, every module of this project it imports, and its environment, as inputs.

    Inputs are compared by content, so that editing a module or moving a pin re-runs just the jobs
    that use it.
    """
    path = Path("workflow/scripts") / script
    family = "torch" if path.parts[2] in ("checkpoints", "logits") else "analysis"
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


def checkpoint_file(model):
    return f"{RESULTS}/checkpoints/{model}.safetensors"


def logits_file(model, data):
    return f"{RESULTS}/logits/{data}/{model}.safetensors"


def compact(value):
    """A config value as one line of JSON, for a command-line argument."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
