"""Take over a timm checkpoint somebody else trained, if its bytes are the expected ones."""

import argparse
from pathlib import Path

import timm
from timm.data import resolve_data_config

from dissent import commandline
from dissent.classifiers import Card, Preprocessing, build, load_weights, save_checkpoint
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import sha256


def main(arguments: argparse.Namespace) -> None:
    if not arguments.weights.exists():
        raise InputError(
            f"there is no file {arguments.weights}: mend `location` in the model table"
        )
    found = sha256(arguments.weights)
    if found != arguments.sha256:
        raise InputError(
            f"{arguments.weights} has sha256 {found}, the model table expects {arguments.sha256}: "
            f"mend the table or the file"
        )
    if arguments.architecture not in timm.list_models():
        raise InputError(
            f"timm has no architecture {arguments.architecture!r}: mend the model table"
        )
    default = resolve_data_config(
        pretrained_cfg=timm.get_pretrained_cfg(arguments.architecture).to_dict()
    )
    card = Card(
        architecture=arguments.architecture,
        options={},
        classes=list(read_examples(arguments.data).classes),
        preprocessing=Preprocessing(
            size=default["input_size"][-1], mean=list(default["mean"]), std=list(default["std"])
        ),
        zero_shot={},
    )
    model = build(card)
    load_weights(model, arguments.weights)
    save_checkpoint(arguments.output, model, card)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--weights", required=True, type=Path, help="safetensors state dict")
    parser.add_argument("--sha256", required=True, help="expected digest of the weights file")
    parser.add_argument("--architecture", required=True, help="timm's name")
    parser.add_argument("--data", required=True, type=Path, help="data set whose classes it knows")
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
