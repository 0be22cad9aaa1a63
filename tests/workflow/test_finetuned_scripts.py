"""The scripts that fine-tune the models of a ranking and train chosen members again."""

import importlib.util
from argparse import Namespace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score

from dissent import datasets
from dissent.classifiers import Card, Preprocessing, build, save_checkpoint
from dissent.commandline import InputError
from dissent.corruptions import CORRUPTIONS, corrupt
from dissent.examples import read_examples, write_examples
from dissent.files import sha256
from dissent.finetuned import FineTuning, read_fine_tunings, read_shifted
from dissent.finetuning import fine_tune, load_ensemble, log_probabilities, predict_ensemble

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts" / "finetuned"
# Model, architecture and pool, from the best to the worst.
MODELS = [
    ("seed.a1", "test_resnet", "reinit"),
    ("gn", "test_efficientnet_gn", "hyper-parameters"),
    ("other-seed", "test_resnet", "reinit"),
]
PLACES = ["reinit-1", "reinit-2", "hyper-parameters-1", "more-settings", "more-heads"]
SETTINGS = [{"learning_rate": rate, "steps": 2} for rate in (0.03, 0.1 + 0.2)]
RECIPE = {"batch_size": 8, "momentum": 0.9, "weight_decay": 0.0, "warm_up": 0.1, "decays": [0.5]}


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FINE_TUNE, REFIT = load("fine_tune"), load("refit_ensemble")


@pytest.fixture(autouse=True)
def restored():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """What the fine-tuning of all places is asked for; checkpoints of random weights."""
    folder = tmp_path_factory.mktemp("run")
    write_examples(
        folder / "digits.safetensors",
        datasets.glyphs(0, 32, {"train": 24, "tune": 10, "report": 14}),
    )
    rows, checkpoints = [], []
    for rank, (model, architecture, pool) in enumerate(MODELS, start=1):
        torch.manual_seed(rank)
        card = Card(
            architecture=architecture,
            options={},
            classes=["a", "b", "c"],
            preprocessing=Preprocessing(size=32, mean=[0.5], std=[0.5]),
            zero_shot={},
        )
        path = folder / "checkpoints" / f"{model}.safetensors"
        save_checkpoint(path, build(card), card)
        place = 1 + sum(row["category"] == pool for row in rows)
        rows.append({"rank": rank, "model": model, "category": pool, "place": place})
        rows[-1]["weights_sha256"] = sha256(path)
        checkpoints.append(path)
    pd.DataFrame(rows).to_csv(folder / "ranking.csv", index=False)
    return Namespace(
        task=folder / "digits.safetensors",
        ranking=folder / "ranking.csv",
        checkpoints=checkpoints,
        settings=SETTINGS,
        more_settings=[{"learning_rate": 0.01, "steps": 2}],
        heads=2,
        seeds=2,
        recipe=RECIPE,
        threads=1,
        gpus=0,
        output=[folder / "task" / f"{place}.safetensors" for place in PLACES],
    )


@pytest.fixture(scope="module")
def examples(arguments):
    return read_examples(arguments.task)


@pytest.fixture(scope="module")
def fine_tuned(arguments, examples):
    """The fine-tunings of every place."""
    FINE_TUNE.main(arguments)
    return {path.stem: read_fine_tunings(path, examples) for path in arguments.output}


def changed(arguments, **changes):
    return Namespace(**vars(arguments) | changes)


def test_models_are_found_at_their_places(fine_tuned, arguments):
    found = {place: fine_tunings.model for place, fine_tunings in fine_tuned.items()}
    assert found == {
        "reinit-1": "seed.a1",
        "reinit-2": "other-seed",
        "hyper-parameters-1": "gn",
        "more-settings": "seed.a1",
        "more-heads": "seed.a1",
    }
    first = fine_tuned["reinit-1"]
    assert first.weights_sha256 == sha256(arguments.checkpoints[0])


def test_without_pools_places_are_ranks(arguments, examples, tmp_path):
    table = pd.read_csv(arguments.ranking).assign(category=None)
    table.assign(place=table["rank"]).to_csv(tmp_path / "ranking.csv", index=False)
    output = tmp_path / "all-2.safetensors"
    options = {"ranking": tmp_path / "ranking.csv", "output": [output], "seeds": 1}
    FINE_TUNE.main(changed(arguments, **options))
    assert read_fine_tunings(output, examples).model == "gn"


def test_runs_are_in_the_order_of_seeds_heads_settings(fine_tuned):
    rates = [setting["learning_rate"] for setting in SETTINGS]
    sweep = tuple(FineTuning(rate, 2, 0, seed) for seed, rate in product(range(2), rates))
    assert fine_tuned["reinit-2"].runs == sweep
    assert fine_tuned["more-heads"].runs == tuple(
        FineTuning(rate, 2, 1, seed) for seed, rate in product(range(2), rates)
    )
    assert fine_tuned["more-settings"].runs == tuple(FineTuning(0.01, 2, 0, s) for s in range(2))


def test_tune_and_report_are_predicted_in_this_order(fine_tuned, examples):
    for fine_tunings in fine_tuned.values():
        splits = examples.splits_N[fine_tunings.positions_N]
        assert list(splits) == ["tune"] * 10 + ["report"] * 14
        said_RNC = np.exp(fine_tunings.log_probabilities_RNC)
        assert said_RNC.shape == (len(fine_tunings.runs), 24, 10)
        np.testing.assert_allclose(said_RNC.sum(axis=2), 1, rtol=1e-5)
        assert len(np.unique(said_RNC, axis=0)) == len(said_RNC)


def test_a_place_alone_gets_the_same_bytes(arguments, fine_tuned, tmp_path):
    FINE_TUNE.main(changed(arguments, output=[tmp_path / "more-heads.safetensors"]))
    again = (tmp_path / "more-heads.safetensors").read_bytes()
    assert again == arguments.output[PLACES.index("more-heads")].read_bytes()


def test_what_diverges_is_a_guess_and_told(arguments, examples, tmp_path, caplog):
    output = tmp_path / "reinit-1.safetensors"
    settings = [{"learning_rate": rate, "steps": 3} for rate in (1e30, 0.01)]
    FINE_TUNE.main(changed(arguments, output=[output], seeds=1, settings=settings))
    said_RNC = np.exp(read_fine_tunings(output, examples).log_probabilities_RNC)
    np.testing.assert_allclose(said_RNC[0], 0.1, rtol=1e-6)
    assert said_RNC[1].max() > 0.11
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [warning.split(" (")[0] for warning in warnings] == ["seed.a1 diverged"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("reinit-3", r"ranking\.csv has no model at place 'reinit-3': lower `fine_tuned`"),
        ("datasets-1", r"ranking\.csv has no model at place 'datasets-1'"),
        ("all-9", r"ranking\.csv has no model at place 'all-9'"),
        ("hyper-parameters-1", r"has 'gn' at place 'hyper-parameters-1', of which no checkpoint"),
    ],
)
def test_places_without_a_model_are_refused(arguments, tmp_path, place, sentence):
    output = [tmp_path / f"{place}.safetensors"]
    checkpoints = [path for path in arguments.checkpoints if path.stem != "gn"]
    with pytest.raises(InputError, match=sentence):
        FINE_TUNE.main(changed(arguments, output=output, checkpoints=checkpoints))


def test_other_weights_than_were_ranked_are_refused(arguments, tmp_path):
    other = tmp_path / "seed.a1.safetensors"
    other.write_bytes(arguments.checkpoints[1].read_bytes())
    output = [tmp_path / "reinit-1.safetensors"]
    with pytest.raises(InputError, match=r"other weights than those that .* ranked"):
        FINE_TUNE.main(changed(arguments, output=output, checkpoints=[other]))


def choice(fine_tuned, method, members, **columns):
    """The rows of one choice: its members are (place, run, weight)."""
    rows = []
    for member, (place, run, weight) in enumerate(members, start=1):
        of = fine_tuned[place].runs[run]
        row = {"method": method, "seed": of.seed, "draw": 0, "models": 3, "size": 4}
        row |= {"budget": None, "member": member, "file": place, "run": run}
        row |= {"model": fine_tuned[place].model, "learning_rate": of.learning_rate}
        rows.append(row | {"steps": of.steps, "head": of.head, "weight": weight} | columns)
    return rows


MEMBERS = [("hyper-parameters-1", 1, 0.75), ("reinit-1", 1, 0.25)]


@pytest.fixture(scope="module")
def refit(arguments, fine_tuned):
    """What training again is asked for: full choices among others that are not."""
    folder = arguments.ranking.parent
    rows = [
        *choice(fine_tuned, "single", [("reinit-1", 1, 1.0)], size=1),
        *choice(fine_tuned, "greedy", [("reinit-2", 0, 1.0)], models=2),
        *choice(fine_tuned, "greedy", [("reinit-2", 1, 1.0)], size=1),
        *choice(fine_tuned, "greedy", [("reinit-2", 1, 1.0)], budget=1.0),
        *choice(fine_tuned, "greedy", [("reinit-2", 2, 1.0)]),
        *choice(fine_tuned, "greedy", MEMBERS),
        *choice(fine_tuned, "random", [("reinit-2", 0, 1.0)]),
        *choice(fine_tuned, "random", [("reinit-2", 1, 1.0)], draw=1),
        *choice(fine_tuned, "heads", [("more-heads", 0, 0.5), ("reinit-1", 1, 0.5)]),
        *choice(fine_tuned, "all", [("reinit-1", 0, 0.5), ("reinit-2", 0, 0.5)]),
    ]
    pd.DataFrame(rows).to_csv(folder / "chosen.csv", index=False)
    return Namespace(
        task=arguments.task,
        chosen=folder / "chosen.csv",
        checkpoints=arguments.checkpoints,
        recipe=RECIPE,
        retrain=False,
        shift=6,
        changed_by=[],
        threads=1,
        gpus=0,
        output_ensemble=folder / "letters" / "ensemble.safetensors",
        output_shifted=folder / "letters" / "shifted.safetensors",
        level=0.95,
        output_verdict=None,
    )


@pytest.fixture(scope="module")
def refitted(refit):
    REFIT.main(refit)
    return load_ensemble(refit.output_ensemble), read_shifted(refit.output_shifted)


def test_members_trained_again_predict_the_same(refitted, fine_tuned, examples):
    ensemble, _ = refitted
    assert [weight for *_, weight in ensemble] == [0.75, 0.25]
    for (model, card, _), (place, run, _) in zip(ensemble, MEMBERS, strict=True):
        before = fine_tuned[place]
        images = examples.images_NHW[before.positions_N]
        said_NC = log_probabilities(model, images, card["preprocessing"])
        np.testing.assert_array_equal(said_NC, before.log_probabilities_RNC[run])


def test_the_ensemble_is_the_weighted_mean_of_the_chosen(refitted, fine_tuned, examples):
    images = examples.images_NHW[fine_tuned["reinit-1"].positions_N]
    expected_NC = sum(
        weight * np.exp(fine_tuned[place].log_probabilities_RNC[run].astype(float))
        for place, run, weight in MEMBERS
    )
    np.testing.assert_allclose(predict_ensemble(refitted[0], images), expected_NC, rtol=1e-12)


def test_shifted_images_are_predicted_by_all_members(refitted, fine_tuned, examples):
    ensemble, shifted = refitted
    assert shifted.task == "letters"
    assert shifted.classes == examples.classes
    assert {(member.file, member.run): member.methods for member in shifted.members} == {
        ("hyper-parameters-1", 1): {"greedy": 0.75},
        ("reinit-1", 1): {"greedy": 0.25, "single": 1.0, "heads": 0.5},
        ("more-heads", 0): {"heads": 0.5},
    }
    # Six from the first to the last, as far apart as can be.
    n_report = len(examples.where("report"))
    spaced = np.array([round(i * (n_report - 1) / 5) for i in range(6)])
    report = examples.where("report")[spaced]
    np.testing.assert_array_equal(shifted.labels_N, examples.labels[report])
    assert shifted.versions == (("none", 0), *product(CORRUPTIONS, range(1, 6)))
    assert shifted.log_probabilities_RVNC.shape == (3, 21, 6, 10)
    version = shifted.versions.index(("blur", 4))
    damaged = corrupt(examples.images_NHW[report], "blur", 4, seed=0)
    for said_VNC, member, (model, card, _) in zip(
        shifted.log_probabilities_RVNC, shifted.members, ensemble, strict=False
    ):
        before = fine_tuned[member.file].log_probabilities_RNC[member.run]
        np.testing.assert_allclose(said_VNC[0], before[10 + spaced], rtol=1e-4, atol=1e-5)
        said_NC = log_probabilities(model, damaged, card["preprocessing"])
        np.testing.assert_array_equal(said_VNC[version], said_NC)


def test_retraining_learns_from_tune_too(refit, fine_tuned, examples, tmp_path):
    """Without shifted images, the final ensemble alone is trained and written."""
    output = tmp_path / "ensemble.safetensors"
    sentence = tmp_path / "ensemble.txt"
    options = {"retrain": True, "shift": 0, "output_shifted": None, "output_ensemble": output}
    REFIT.main(changed(refit, **options, output_verdict=sentence))
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, sentence.name]
    report = examples.where("report")
    said_NC = predict_ensemble(load_ensemble(output), examples.images_NHW[report])
    right = accuracy_score(examples.labels[report], said_NC.argmax(axis=1))
    assert f"is right on {100 * right:.1f} % of {len(report)} test images" in sentence.read_text()
    both = np.concatenate([examples.where(split) for split in ("train", "tune")])
    learned = examples.images_NHW[both], examples.labels[both]
    checkpoints = {path.stem: path for path in refit.checkpoints}
    for (model, *_), (place, run, _) in zip(load_ensemble(output), MEMBERS, strict=True):
        before = fine_tuned[place]
        again = fine_tune(
            checkpoints[before.model], [before.runs[run]], *learned, examples.classes, RECIPE
        )
        weights = next(again)[0].state_dict()
        assert all(torch.equal(t, weights[name]) for name, t in model.state_dict().items())


def test_a_choice_that_cannot_be_trained_again_is_refused(refit, tmp_path):
    with pytest.raises(InputError, match="has 'gn', of which no checkpoint was given"):
        REFIT.main(changed(refit, checkpoints=refit.checkpoints[:1]))
    chosen = tmp_path / "chosen.csv"
    table = pd.read_csv(refit.chosen)
    table[table["method"] != "greedy"].to_csv(chosen, index=False)
    with pytest.raises(InputError, match=r"chosen\.csv has no ensemble of method 'greedy'"):
        REFIT.main(changed(refit, chosen=chosen))
    table["learning_rate"] = 1e30
    table.to_csv(chosen, index=False)
    with pytest.raises(InputError, match=r"training 'gn' with learning rate 1e\+30 diverged"):
        REFIT.main(changed(refit, chosen=chosen))
