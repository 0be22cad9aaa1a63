"""Take over a transformers model somebody else trained, if its weights are the pinned ones."""

import argparse
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

# Whatever is needed is in the folder: transformers shall not ask the hub for more.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
)

from dissent import commandline, files, hub
from dissent.commandline import InputError
from dissent.provenance import facts
from dissent.text_checkpoints import KIND, TextCard, head_names, save_text

# Of where a config was made and what for; the classes are kept beside it.
PASSING = (
    *("_name_or_path", "architectures", "dtype", "transformers_version"),
    *("id2label", "label2id", "problem_type"),
)


def main(arguments: argparse.Namespace) -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with TemporaryDirectory() as scratch:
        found = locate(arguments, Path(scratch))
        path = weights_in(found.folder)
        weights = read_weights(path, arguments.sha256)
        config = read_config(found.folder)
        tokenizer = read_tokenizer(tokenizer_folder(arguments, found.folder, scratch), config)
        if arguments.classes:
            config.id2label = dict(enumerate(arguments.classes))
        own, classes = as_classifier(path, config, weights)
    kept = {name: value for name, value in config.to_dict().items() if name not in PASSING}
    card = TextCard(kind=KIND, config=kept, tokenizer=tokenizer, classes=classes)
    save_text(arguments.output, own, card)
    revision = f" at {arguments.revision}" if arguments.revision else ""
    source = {
        "name": f"{arguments.location}{revision}",
        "licence": arguments.licence,
        "citation": arguments.citation,
        "package": found.package,
        "sha256": arguments.sha256,
    }
    facts.declare(sources=[{name: text for name, text in source.items() if text}])


def locate(arguments: argparse.Namespace, scratch: Path) -> hub.Published:
    """The folder that the model table means: the user's own, or that of a model on the hub."""
    if arguments.revision:
        return hub.find(arguments.location, arguments.revision, arguments.sha256, scratch)
    folder = Path(arguments.location)
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}: mend `location` in the model table, or give the "
            f"`revision` of a model on the hub"
        )
    return hub.Published(folder, None)


def tokenizer_folder(arguments: argparse.Namespace, folder: Path, scratch: str) -> Path:
    """Where the tokenizer is: beside the weights, or with the model that the run file names."""
    if not arguments.tokenizer:
        return folder
    if not arguments.tokenizer_revision:
        return Path(arguments.tokenizer)
    into = Path(scratch, "tokenizer")
    into.mkdir()
    hub.find_tokenizer(arguments.tokenizer, arguments.tokenizer_revision, into)
    return into


def weights_in(folder: Path) -> Path:
    """The file of a model's weights: safetensors, or else tensors of torch."""
    pickled = folder / hub.PICKLED
    safe = folder / hub.WEIGHTS
    return pickled if pickled.is_file() and not safe.is_file() else there(safe)


def read_weights(path: Path, pin: str) -> dict[str, torch.Tensor]:
    if (found := files.sha256(path)) != pin:
        raise InputError(
            f"{path} has sha256 {found}, the model table expects {pin}: mend the table or the file"
        )
    if path.name == hub.PICKLED:
        return read_pickled(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{path} cannot be loaded as safetensors ({error}): save the model as safetensors"
        ) from None


def read_pickled(path: Path) -> dict[str, torch.Tensor]:
    """A state dict that torch has written; nothing but tensors is ever loaded, and no code run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # On a damaged file, or one with more than tensors, torch raises errors of all kinds.
        raise InputError(
            f"{path} cannot be loaded as tensors alone ({in_short(error)}): save the model as "
            f"{hub.WEIGHTS}"
        ) from None
    if not (isinstance(found, dict) and all(isinstance(t, torch.Tensor) for t in found.values())):
        raise InputError(f"{path} holds more than named tensors: save the model as {hub.WEIGHTS}")
    return found


def there(path: Path) -> Path:
    """The path itself, if there is such a file."""
    if path.is_file():
        return path
    raise InputError(
        f"there is no file {path}: mend `location` in the model table, which needs {hub.CONFIG}, "
        f"{hub.WEIGHTS} and {hub.TOKENIZER} or {hub.WORDS[0]}"
    )


def read_config(folder: Path) -> PreTrainedConfig:
    """The config of a model whose architecture transformers has, as a classifier too."""
    path = there(folder / hub.CONFIG)
    try:
        published = json.loads(path.read_text())
        kind = published["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no config of a transformers model ({error!r}): mend the file"
        ) from None
    if "auto_map" in published:
        raise InputError(
            f"{path} asks to run code that comes with the weights (auto_map), which is never done: "
            f"choose a model of an architecture that transformers has itself"
        )
    if kind not in transformers.CONFIG_MAPPING:
        raise InputError(
            f"{path} is of model_type {kind!r}, which transformers {transformers.__version__} does "
            f"not know: choose another model"
        )
    try:
        config = AutoConfig.for_model(**published)
    except Exception as error:
        # Of each field, it checks what it likes.
        raise InputError(f"{path} is refused by transformers ({in_short(error)})") from None
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise InputError(
            f"{path} is of model_type {kind!r}, which has no classifier of sentences in "
            f"transformers: choose another model"
        )
    return config


def read_tokenizer(folder: Path, config: PreTrainedConfig) -> str:
    """The text of a tokenizer.json, made from the words alone if there is none."""
    path = folder / hub.TOKENIZER
    if not path.is_file():
        path = folder / hub.WORDS[0]
    if not path.is_file():
        raise InputError(
            f"there is no tokenizer in {folder}: put its {hub.TOKENIZER} or {path.name} there"
        )
    try:
        if path.name == hub.TOKENIZER:
            tokenizer = Tokenizer.from_file(str(path))
        else:
            options = {"config": config, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(folder, **options).backend_tokenizer
    except Exception as error:
        # tokenizers raises nothing more special.
        raise InputError(f"{path} is no tokenizer ({in_short(error)}): mend the file") from None
    if (words := tokenizer.get_vocab_size()) > config.vocab_size:
        raise InputError(
            f"{path} has {words} tokens and the model {config.vocab_size}: take both from one place"
        )
    return tokenizer.to_str()


def as_classifier(
    path: Path, config: PreTrainedConfig, weights: dict[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights, float32, as a classifier names them today, and its classes, if it is one.

    Heads of pre-training are left out. Without a classifier, the encoder's weights are all.
    """
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    options = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        model, told = kind.from_pretrained(None, config=config, state_dict=weights, **options)
    except Exception as error:
        raise InputError(
            f"transformers cannot load {path} as its {hub.CONFIG} says ({in_short(error)})"
        ) from None
    own = model.state_dict()
    head = head_names(model)
    missing = told["missing_keys"] - (head if head <= told["missing_keys"] else set())
    wrong = {
        "missing": sorted(missing),
        "of another shape": sorted(name for name, *_ in told["mismatched_keys"]),
        "of layers it has not": sorted(n for n in told["unexpected_keys"] if "layer." in n),
    }
    parts = [f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names]
    if parts:
        raise InputError(
            f"the weights in {path} do not fit the {hub.CONFIG} beside it: {', '.join(parts)}; "
            f"take both from one place"
        )
    if head <= told["missing_keys"]:
        return {name: tensor for name, tensor in own.items() if name not in head}, []
    return own, [config.id2label[label] for label in sorted(config.id2label)]


def in_short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--location", required=True, help="id on the hub, or path of a folder")
    parser.add_argument(
        "--revision", nargs="?", default="", help="40 digits of a commit on the hub, of an id"
    )
    parser.add_argument("--sha256", nargs="?", default="", help="expected digest of its weights")
    parser.add_argument("--classes", type=json.loads, help="JSON: names of its classes, or null")
    parser.add_argument(
        "--tokenizer", nargs="?", help="id or folder of the model whose tokenizer is its own"
    )
    parser.add_argument("--tokenizer-revision", nargs="?", help="its commit on the hub, of an id")
    parser.add_argument(
        "--licence", nargs="?", default="", const="", help="its licence; empty if it is not known"
    )
    parser.add_argument("--citation", nargs="?", default="", const="", help="whom to cite")
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
