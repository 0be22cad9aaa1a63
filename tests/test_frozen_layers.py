import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    CamembertConfig,
    DistilBertConfig,
    RobertaConfig,
)

from dissent.commandline import InputError
from dissent.frozen_layers import hidden_batches, top_of
from dissent.text_checkpoints import classifier
from dissent.tokens import batches, predict, tokenise
from small_text import small_card

SENTENCES = [
    ("the doctor saw the actor", "the actor saw the doctor"),
    ("the king slept", "the king slept"),
    ("because the lawyer by the judge ran , the tourist helped the nurse", "the lawyer ran"),
    ("the queen and the author danced", "the queen danced"),
    ("the singer", "the manager who shouted laughed"),
]
SMALL = {
    "vocab_size": 90,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 42,
    "initializer_range": 0.2,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def batches_of(card, size=3):
    """Of rows of unlike length, so that there is padding."""
    found = batches(tokenise(card, SENTENCES), size)
    assert any((batch["attention_mask"] == 0).any() for _, batch in found)
    return found


def bert():
    torch.manual_seed(0)
    return classifier(small_card(), n_classes=3).eval()


def of_type(config):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_cut_network_says_what_the_full_one_says(frozen):
    model, full = bert(), batches_of(small_card())
    expected_NK = predict(model, full, len(SENTENCES))
    said_NK = predict(top_of(model, frozen), hidden_batches(model, full, frozen), len(SENTENCES))
    torch.testing.assert_close(said_NK, expected_NK, rtol=1e-5, atol=1e-6)
    assert said_NK.std() > 0.1


@pytest.mark.parametrize("config", [RobertaConfig, CamembertConfig])
def test_cut_roberta_says_what_the_full_one_says(config):
    model = of_type(config(**SMALL, num_labels=3, type_vocab_size=1))
    card = small_card()
    card["config"] = model.config.to_dict()
    full = batches_of(card)
    said_NK = predict(top_of(model, 2), hidden_batches(model, full, 2), len(SENTENCES))
    expected_NK = predict(model, full, len(SENTENCES))
    torch.testing.assert_close(said_NK, expected_NK, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_full_model():
    model = bert()
    ((_, full),) = batches_of(small_card(), size=len(SENTENCES))
    ((_, cut),) = hidden_batches(model, [(None, full)], 2)
    top = top_of(model, 2)
    weights = dict(top.named_parameters())
    grads = torch.autograd.grad(top(**cut).logsumexp(1).sum(), list(weights.values()))
    of_full = dict(model.named_parameters())
    expected = torch.autograd.grad(
        model(**full).logits.logsumexp(1).sum(), [of_full[name] for name in weights]
    )
    for grad, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing():
    model = bert()
    ((_, cut),) = hidden_batches(model, batches_of(small_card(), size=5)[:1], 1)
    lengths_n = cut["mask"].sum(1)
    row = int(lengths_n.argmin())
    n_tokens = int(lengths_n[row])
    top = top_of(model, 1)
    alone_1K = top(cut["hidden"][row : row + 1, :n_tokens], cut["mask"][row : row + 1, :n_tokens])
    torch.testing.assert_close(top(**cut)[row : row + 1], alone_1K, rtol=1e-5, atol=1e-6)


def test_names_are_those_of_the_full_model_and_weights_are_shared():
    model = bert()
    top, of_full = top_of(model, 2), model.state_dict(keep_vars=True)
    expected = [
        name
        for name in of_full
        if "embeddings" not in name and ".layer.0." not in name and ".layer.1." not in name
    ]
    assert sorted(top.state_dict()) == sorted(expected)
    assert all(weight is of_full[name] for name, weight in top.named_parameters())


def test_nothing_frozen_is_the_model_itself():
    model, full = bert(), batches_of(small_card())
    assert top_of(model, 0) is model
    assert all(
        batch is same
        for (_, batch), (_, same) in zip(hidden_batches(model, full, 0), full, strict=True)
    )


def test_more_frozen_layers_than_there_are():
    with pytest.raises(InputError, match="`frozen_layers` is 4, but the model has 3 layers"):
        top_of(bert(), 4)
    with pytest.raises(InputError, match="`frozen_layers` is 4"):
        hidden_batches(bert(), [], 4)


def test_other_architectures_cannot_be_cut():
    model = of_type(DistilBertConfig(vocab_size=90, dim=16, n_layers=2, n_heads=2, hidden_dim=32))
    with pytest.raises(InputError, match=r"type 'distilbert' cannot be frozen.*frozen_layers: 0"):
        top_of(model, 1)
    assert top_of(model, 0) is model
