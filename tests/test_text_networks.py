import copy
import json

import pytest
import torch
from tokenizers import Tokenizer

from dissent.commandline import InputError
from dissent.text_checkpoints import classifier, load_text, save_text
from dissent.text_networks import check_alike, own_networks
from small_text import small_card, small_text_checkpoint


def test_own_networks_are_those_of_the_files(tmp_path):
    paths = {
        name: small_text_checkpoint(tmp_path / name, seed, 3) for seed, name in enumerate("ab")
    }
    networks = own_networks(paths)
    assert [member.model for member in networks.members] == ["a", "b"]
    assert networks.classes == ("entailment", "neutral", "contradiction")
    assert (networks.steps, networks.frozen) == ((0,), 0)
    for name, path in paths.items():
        weights, card = load_text(path)
        assert networks.states[0][name].keys() == weights.keys()
        assert all(torch.equal(networks.states[0][name][key], weights[key]) for key in weights)
        networks.model.load_state_dict(networks.states[0][name])
        alone = classifier(card)
        alone.load_state_dict(weights)
        ids = torch.tensor([[2, 7, 8, 3]])
        torch.testing.assert_close(
            networks.model.eval()(ids).logits, alone.eval()(ids).logits, rtol=0, atol=0
        )


def test_weights_of_half_precision_are_mixed_in_full(tmp_path):
    path = small_text_checkpoint(tmp_path / "a", 0, 3)
    weights, card = load_text(path)
    save_text(tmp_path / "half", {name: w.half() for name, w in weights.items()}, card)
    state = own_networks({"a": path, "half": tmp_path / "half"}).states[0]["half"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    path = small_text_checkpoint(tmp_path / "a", 0, 3)
    weights, card = load_text(path)
    weights["classifier.bias"][1] = torch.inf
    save_text(tmp_path / "b", weights, card)
    with pytest.raises(InputError, match="'b' has weights that are no finite numbers: leave it"):
        own_networks({"a": path, "b": tmp_path / "b"})


def changed(**config) -> dict:
    card = small_card(2)
    return {**card, "config": {**card["config"], **config}}


def with_truncation() -> dict:
    card = small_card(2)
    tokenizer = Tokenizer.from_str(card["tokenizer"])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return {**card, "tokenizer": tokenizer.to_str()}


def with_other_words() -> dict:
    card = small_card(2)
    tokenizer = json.loads(card["tokenizer"])
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["doctor"], vocabulary["lawyer"] = vocabulary["lawyer"], vocabulary["doctor"]
    return {**card, "tokenizer": json.dumps(tokenizer)}


@pytest.mark.parametrize(
    "other",
    [
        changed(),
        changed(hidden_dropout_prob=0.3, finetuning_task="mnli", use_cache=False),
        with_truncation(),
    ],
)
def test_models_that_can_be_mixed(other):
    check_alike({"one": small_card(2), "other": other})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed(hidden_size=32), "different architectures, with `hidden_size` 16 and 32: name"),
        (changed(model_type="roberta"), "architectures, with `model_type` bert and roberta: name"),
        (changed(num_hidden_layers=2), "architectures, with `num_hidden_layers` 3 and 2: name"),
        (with_other_words(), "'one' and 'other' have different vocabularies"),
        (small_card(3), "'one' has the classes entailment, non-entailment and 'other' entailment"),
        ({**small_card(2), "classes": small_card(2)["classes"][::-1]}, "with one `id2label`"),
        (small_card(), "'other' has no classifier"),
    ],
)
def test_models_that_cannot_be_mixed(other, message):
    with pytest.raises(InputError, match=message) as caught:
        check_alike({"one": small_card(2), "other": copy.deepcopy(other)})
    assert "\n" not in str(caught.value)
