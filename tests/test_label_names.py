import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from dissent.commandline import InputError
from dissent.label_names import class_columns, to_classes

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 4.0], [1.0, -2.0, -3.0]])
# The order of the models of McCoy et al., that of most models on the hub.
FEATHER = ["contradiction", "entailment", "neutral"]
HUB = ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"]


@pytest.mark.parametrize(
    ("model_classes", "expected"),
    [
        (FEATHER, [[-1.0, 2.0], [3.0, 4.0], [-2.0, 1.0]]),
        (HUB, [[2.0, 0.5], [0.0, 4.0], [1.0, -2.0]]),
    ],
)
def test_three_way_heads_on_two_classes_in_both_orders(model_classes, expected):
    found = to_classes(LOGITS, model_classes, ["entailment", "non-entailment"])
    assert found.tolist() == expected
    flipped = to_classes(LOGITS, model_classes, ["non-entailment", "entailment"])
    assert flipped.tolist() == [row[::-1] for row in expected]


@given(st.permutations(FEATHER), st.permutations(["Entailment", "neutral", "CONTRADICTION"]))
def test_no_order_of_names_makes_a_difference(model_classes, data_classes):
    by_name = {"contradiction": 0, "entailment": 1, "neutral": 2}
    as_model = LOGITS[:, [by_name[name] for name in model_classes]]
    expected = LOGITS[:, [by_name[name.lower()] for name in data_classes]]
    assert torch.equal(to_classes(as_model, model_classes, data_classes), expected)


@pytest.mark.parametrize("spelt", ["non-entailment", "not entailment", "not_entailment"])
def test_spellings_of_a_negation(spelt):
    two = LOGITS[:, :2]
    assert torch.equal(
        to_classes(two, [spelt, "entailment"], ["non-entailment", "entailment"]), two
    )
    assert class_columns(FEATHER, [spelt]) == [[0, 2]]
    assert class_columns(["not_duplicate", "duplicate"], ["duplicate", "not duplicate"]) == [
        [1],
        [0],
    ]


def test_names_of_a_config_from_transformers():
    config = BertConfig(id2label={0: "entailment", 1: "neutral", 2: "contradiction"})
    names = [config.id2label[k] for k in range(3)]
    found = to_classes(LOGITS, names, ["entailment", "non-entailment"])
    np.testing.assert_array_equal(found[:, 1], LOGITS[:, 1:].max(dim=1).values)


@pytest.mark.parametrize(
    "model_classes",
    [["LABEL_0", "LABEL_1"], ["entailment", "neutral"], ["entailment"], ["x", "X", "entailment"]],
)
def test_classes_that_a_model_has_not_or_has_twice(model_classes):
    with pytest.raises(InputError) as caught:
        to_classes(
            LOGITS[:, : len(model_classes)], model_classes, ["entailment", "x"], "the set 'a'"
        )
    message = str(caught.value)
    assert all(repr(name) in message for name in [*model_classes, "entailment", "x"])
    assert "of the set 'a'" in message
    assert "id2label" in message


def test_a_negation_of_the_only_class_fits_nothing():
    with pytest.raises(InputError, match="do not fit"):
        class_columns(["entailment"], ["entailment", "non-entailment"])


def test_gradients_pass():
    logits = LOGITS.clone().requires_grad_()
    to_classes(logits, FEATHER, ["entailment", "non-entailment"])[:, 1].sum().backward()
    assert logits.grad.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
