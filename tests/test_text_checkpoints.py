import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import BertConfig, BertForSequenceClassification

from dissent.commandline import InputError
from dissent.text_checkpoints import (
    classifier,
    load_into,
    load_text,
    read_text_card,
    save_text,
)
from small_text import small_card, small_text_checkpoint

IDS = torch.tensor([[2, 4, 21, 46, 4, 39, 3]])


def logits(model):
    with torch.inference_mode():
        return model.eval()(input_ids=IDS).logits


def by_transformers(folder, card, weights, **changed):
    """What transformers makes of the same weights in a folder of its own."""
    config = BertConfig(**{**card["config"], **changed}, num_labels=len(card["classes"]))
    model = BertForSequenceClassification(config)
    model.load_state_dict(weights, strict=False)
    model.save_pretrained(folder)
    return BertForSequenceClassification.from_pretrained(folder, config=config)


@pytest.mark.parametrize(("layers", "kept"), [(None, 3), (3, 3), (2, 2)])
def test_a_classifier_computes_what_transformers_computes(tmp_path, layers, kept):
    path = small_text_checkpoint(tmp_path / "a" / "m.safetensors", n_classes=3)
    weights, card = load_text(path)
    model = classifier(card, layers=layers)
    load_into(model, weights)
    expected = logits(by_transformers(tmp_path / "hf", card, weights, num_hidden_layers=kept))
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)
    assert expected.shape == (1, 3) and expected.std() > 0.01


def test_the_file_has_the_weights_and_the_same_bytes_each_time(tmp_path):
    first = small_text_checkpoint(tmp_path / "1.safetensors", seed=4, n_classes=2)
    second = small_text_checkpoint(tmp_path / "2.safetensors", seed=4, n_classes=2)
    assert first.read_bytes() == second.read_bytes()
    weights, card = load_text(first)
    # Read by the rows, as one that is not contiguous.
    weights["classifier.weight"] = weights["classifier.weight"].T.contiguous().T
    save_text(tmp_path / "3.safetensors", weights, card)
    assert (tmp_path / "3.safetensors").read_bytes() == first.read_bytes()
    assert read_text_card(first)["classes"] == ["entailment", "non-entailment"]
    other = load_text(small_text_checkpoint(tmp_path / "4.safetensors", seed=5, n_classes=2))[0]
    assert not torch.equal(other["classifier.weight"], weights["classifier.weight"])


def test_an_encoder_leaves_the_head_as_it_was(tmp_path):
    weights, card = load_text(small_text_checkpoint(tmp_path / "m.safetensors"))
    assert card["classes"] == [] and not any("classifier" in name for name in weights)
    model = classifier(card, n_classes=4)
    before = model.classifier.weight.clone()
    load_into(model, weights)
    assert torch.equal(model.classifier.weight, before) and before.shape == (4, 16)
    name = "bert.encoder.layer.2.output.dense.weight"
    assert torch.equal(model.state_dict()[name], weights[name])


def test_a_checkpoint_without_classes_is_no_classifier():
    with pytest.raises(InputError, match="has no classifier: name a fine-tuned model"):
        classifier(small_card())


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(InputError, match=r"encoder has 3 layers: mend `layers` .* which is 4"):
        classifier(small_card(2), layers=4)
    albert = {"model_type": "albert", "embedding_size": 8, "hidden_size": 16, "vocab_size": 9}
    albert |= {"num_attention_heads": 2, "intermediate_size": 16}
    with pytest.raises(InputError, match="is not built like BERT's: mend `layers`"):
        classifier({**small_card(2), "config": albert}, layers=1)


def without_pooler(weights):
    del weights["bert.pooler.dense.bias"]


def half_a_head(weights):
    del weights["classifier.bias"]


def one_more_layer(weights):
    weights["bert.encoder.layer.3.output.dense.bias"] = torch.zeros(16)


def wider(weights):
    weights["bert.pooler.dense.bias"] = torch.zeros(17)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_pooler, r"1 missing \(first: bert.pooler.dense.bias\)"),
        (half_a_head, r"1 missing \(first: classifier.bias\)"),
        (one_more_layer, r"1 unexpected \(first: bert.encoder.layer.3.output.dense.bias\)"),
        (wider, r"1 of another shape \(first: bert.pooler.dense.bias\)"),
    ],
)
@pytest.mark.parametrize("layers", [None, 1])
def test_weights_of_another_architecture_are_refused(tmp_path, change, said, layers):
    weights, card = load_text(small_text_checkpoint(tmp_path / "m.safetensors", n_classes=2))
    change(weights)
    with pytest.raises(InputError, match=f"different architectures: {said}; name models of one"):
        load_into(classifier(card, layers=layers), weights)


def test_a_file_of_anything_else_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "m.safetensors"
    cases = {"there is no file": None, "cannot be read as safetensors": b"pickled"}
    for said, content in cases.items():
        if content:
            path.write_bytes(content)
        with pytest.raises(InputError, match=said) as refused:
            load_text(path)
        assert "\n" not in str(refused.value)
    save_file({"w": np.zeros(2)}, path)
    with pytest.raises(InputError, match="has no card in its header"):
        read_text_card(path)
    save_file({"w": np.zeros(2)}, path, {"card": '{"architecture": "resnet18"}'})
    with pytest.raises(InputError, match="is a classifier of images, not of sentences"):
        read_text_card(path)
