"""Linear fine-tuning and probes of frozen networks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from torch import nn
from torch.nn import functional as F

from dissent import domain_images
from dissent.classifiers import Card, Preprocessing, build, predict, save_checkpoint
from dissent.commandline import InputError
from dissent.domains import leave_out
from dissent.dropout_runs import Run, reported_positions
from dissent.dropout_training import domain_batches, start_of, with_images
from dissent.dropout_versions import Task
from dissent.examples import Examples
from dissent.finetuning import rate_factor
from dissent.linear_fine_tuning import Frozen, fit_family, learn, of_run, outputs_of_task
from dissent.residual_blocks import block_outputs, residual_blocks

RATES = (0.0, 0.5, 0.9)
SETTINGS = {
    "blocks": 3,
    "steps": 6,
    "batch_size": 4,
    "images": 20,
    "checkpoints": 3,
    "momentum": 0.9,
    "decays": [0.5],
    "augmentation": "light",
}
HELD_OUT = "printed"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_of(kind="linear", rate=0.0, width=None, **changes):
    leaves = {"learning_rate": 0.05, "weight_decay": 0.01, "head_factor": 1.0, "seed": 0}
    return Run(rate=rate, kind=kind, width=width, **leaves | changes)


def frozen_of(seed=0, n_copies=2, n=12, n_blocks=3, n_features=5, n_classes=3):
    """Random block outputs of two domains, whose labels have to do with them."""
    generator = torch.Generator().manual_seed(seed)
    train_ANKD = torch.randn(n_copies, n, n_blocks, n_features, generator=generator)
    return Frozen(
        train_ANKD=train_ANKD,
        labels_N=train_ANKD[0, :, -1, :n_classes].argmax(dim=1),
        rows={"a": np.arange(n // 3), "b": np.arange(n // 3, n)},
        evaluated_NKD=torch.randn(7, n_blocks, n_features, generator=generator),
    )


def learned(runs, seen, settings, n_classes=3):
    """What `learn` yields for runs of seed 0, and the same run by run."""
    order, masks = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    torch.manual_seed(3)
    batches = domain_batches(seen.rows, settings["batch_size"], order)
    return list(learn(runs, seen, n_classes, batches, order, masks, settings))


def reference(run, seen, settings, n_classes=3):
    """One run in the plainest torch: y = V sum_i v_i * phi_i + b, logits [N, C] at the end."""
    order, masks = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    torch.manual_seed(3)
    batches = domain_batches(seen.rows, settings["batch_size"], order)
    n_copies, _, n_blocks, n_features = seen.train_ANKD.shape
    top = nn.Linear(n_features, n_classes)
    v = [nn.Parameter(torch.randn(n_features)) for _ in range(n_blocks)]
    if run.kind == "probe":
        v = [torch.ones(n_features)]
    groups = [{"params": list(top.parameters()), "lr": run.learning_rate * run.head_factor}]
    if run.kind == "linear":
        groups.append({"params": v, "lr": run.learning_rate})
    stepper = torch.optim.SGD(
        groups, lr=1.0, momentum=settings["momentum"], weight_decay=run.weight_decay
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        stepper,
        lambda step: rate_factor(
            step, settings["steps"], {"warm_up": 0, "decays": settings["decays"]}
        ),
    )
    for batch in itertools.islice(batches, settings["steps"]):
        copies = torch.randint(n_copies, (len(batch),), generator=order)
        drawn = torch.rand(len(batch), n_features, generator=masks)
        losses = []
        for i, (copy, row) in enumerate(zip(copies, batch, strict=True)):
            features = torch.zeros(n_features)
            for v_i, phi_i in zip(v, seen.train_ANKD[copy, row], strict=True):
                features = features + v_i * phi_i
            kept = torch.where(drawn[i] >= run.rate, features / (1 - run.rate), 0.0)
            losses.append(F.cross_entropy(top(kept), seen.labels_N[row]))
        stepper.zero_grad()
        torch.stack(losses).mean().backward()
        stepper.step()
        rate.step()
    combined = sum(v_i * phi for v_i, phi in zip(v, seen.evaluated_NKD.unbind(1), strict=True))
    return top(combined).detach()


@pytest.mark.parametrize("kind", ["linear", "probe"])
def test_runs_together_are_as_runs_one_by_one(kind):
    """Rates, learning rates, decays and speeds of the head differ; batches and masks do not."""
    runs = [
        run_of(kind, rate, learning_rate=learning_rate, weight_decay=decay, head_factor=factor)
        for rate, learning_rate, decay, factor in [
            (0.0, 0.05, 0.0, 1.0),
            (0.5, 0.05, 0.01, 1.0),
            (0.9, 0.02, 0.1, 10.0),
        ]
    ]
    seen = of_run(frozen_of(), runs[0], "a domain")
    *_, (step, weight_FRC, bias_RC) = learned(runs, seen, SETTINGS)
    assert step == SETTINGS["steps"]
    for r, run in enumerate(runs):
        logits_NC = seen.evaluated_NKD.flatten(1) @ weight_FRC[:, r] + bias_RC[r]
        torch.testing.assert_close(logits_NC, reference(run, seen, SETTINGS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "probe"])
def test_checkpoints_are_evenly_spaced_and_do_not_disturb(kind):
    seen = of_run(frozen_of(), run_of(kind), "a domain")
    often, once = (
        learned([run_of(kind, 0.5)], seen, SETTINGS | {"checkpoints": n}) for n in (3, 1)
    )
    assert [step for step, *_ in often] == [2, 4, 6]
    assert not torch.equal(often[0][1], often[1][1])
    torch.testing.assert_close(often[-1][1:], once[0][1:], rtol=0, atol=0)


def test_a_probe_without_dropout_approaches_logistic_regression():
    """The mean cross-entropy plus half the decay times the squared weights, bias among them."""
    decay = 0.05
    seen = of_run(frozen_of(n_copies=1, n=24), run_of("probe"), "a domain")
    # All images in each step: 8 of domain a twice, as often as the 16 of domain b.
    settings = SETTINGS | {"batch_size": 16, "steps": 300, "checkpoints": 1, "decays": []}
    run = run_of("probe", learning_rate=0.3, weight_decay=decay)
    ((_, weight_FRC, bias_RC),) = learned([run], seen, settings)
    x = seen.train_ANKD[0, :, 0].numpy().astype(float)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    twice = np.where(np.arange(24) < 8, 2.0, 1.0)
    oracle = LogisticRegression(C=1 / (decay * 32), fit_intercept=False, tol=1e-10, max_iter=1000)
    oracle.fit(x, seen.labels_N.numpy(), sample_weight=twice)
    ours = np.concatenate([weight_FRC[:, 0].T, bias_RC[0][:, None]], axis=1)
    np.testing.assert_allclose(ours, oracle.coef_, atol=2e-4)


def test_a_probe_keeps_so_many_features_of_the_last_block():
    frozen = frozen_of(n_features=40)
    kept = {
        (width, seed): of_run(frozen, run_of("probe", width=width, seed=seed), "a domain")
        for width, seed in itertools.product([3, 10, None], [0, 1])
    }
    names = {}
    for (width, seed), seen in kept.items():
        columns = [
            int((frozen.train_ANKD[:, :, -1] == column[..., None]).all(dim=(0, 1)).nonzero())
            for column in seen.train_ANKD[:, :, 0].unbind(-1)
        ]
        torch.testing.assert_close(seen.evaluated_NKD[:, 0], frozen.evaluated_NKD[:, -1, columns])
        assert len(set(columns)) == len(columns) == (width or 40)
        names[width, seed] = set(columns)
    assert names[3, 0] < names[10, 0]
    assert names[10, 0] != names[10, 1]
    assert of_run(frozen, run_of("linear"), "a domain") is frozen


def small(architecture, **options):
    torch.manual_seed(0)
    model = timm.create_model(architecture, in_chans=1, num_classes=3, **options)
    for module in model.modules():
        # Statistics as of a trained network, so that frozen batch normalisation does something.
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


TWO_BLOCKS = {"architecture": "resnet18", "channels": [4, 4, 8, 16]}
ONE_BLOCK = {"architecture": "resnet14t", "channels": [4, 4, 8, 16], "stem_width": 4}


@pytest.mark.parametrize("options", [TWO_BLOCKS, ONE_BLOCK])
@torch.inference_mode()
def test_the_last_block_gives_the_features_of_the_network(options):
    model, inputs = small(**options), torch.rand(3, 1, 64, 64)
    outputs_NKD = block_outputs(model, residual_blocks(model, "it", 3), inputs)
    assert outputs_NKD.shape == (3, 3, model.num_features)
    maps = model.forward_features(inputs)
    torch.testing.assert_close(outputs_NKD[:, -1], maps.mean(dim=(2, 3)))
    assert not any(block._forward_hooks for block in model.layer4)


@torch.inference_mode()
def test_blocks_of_one_width_are_as_the_paper_has_them():
    """Plain pooled outputs; an earlier stage's passes the shortcut of the next stage."""
    model, inputs = small(**TWO_BLOCKS), torch.rand(3, 1, 64, 64)
    third_NKHW = model.layer3(
        model.layer2(model.layer1(model.maxpool(model.act1(model.bn1(model.conv1(inputs))))))
    )
    second_NKHW = model.layer4[0](third_NKHW)
    last_NKHW = model.layer4[1](second_NKHW)
    outputs_NKD = block_outputs(model, residual_blocks(model, "it", 3), inputs)
    convolution, norm = model.layer4[0].downsample
    carried = norm(F.conv2d(third_NKHW, convolution.weight, stride=2))
    for k, maps in enumerate([carried, second_NKHW, last_NKHW]):
        torch.testing.assert_close(outputs_NKD[:, k], maps.mean(dim=(2, 3)))


@torch.inference_mode()
def test_a_shortcut_is_a_frozen_linear_map_of_the_pooled_output():
    model, inputs = small(**ONE_BLOCK), torch.rand(5, 1, 64, 64)
    seen = []
    model.layer3.register_forward_hook(lambda *call: seen.append(call[-1]))
    outputs_NKD = block_outputs(model, residual_blocks(model, "it", 2), inputs)
    _, convolution, norm = model.layer4[0].downsample
    scale_D = norm.weight / (norm.running_var + norm.eps).sqrt()
    linear_ND = seen[0].mean(dim=(2, 3)) @ convolution.weight[:, :, 0, 0].T
    expected_ND = (linear_ND - norm.running_mean) * scale_D + norm.bias
    torch.testing.assert_close(outputs_NKD[:, 0], expected_ND, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "count", "sentence"),
    [
        ({"architecture": "test_vit"}, 1, "'test_vit' has no residual blocks that we can find"),
        ({"architecture": "test_efficientnet_gn"}, 1, "has no residual blocks"),
        (ONE_BLOCK, 5, r"asks for 5 residual blocks, but architecture 'resnet14t' has 4"),
    ],
)
def test_networks_without_such_blocks_are_refused(options, count, sentence):
    name = options["architecture"]
    with pytest.raises(InputError, match=sentence):
        residual_blocks(small(**options), name, count)


@pytest.fixture(scope="module")
def examples():
    return domain_images.domains(0, 32, {"train": 24, "tune": 10, "report": 12})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear") / "start.safetensors"
    torch.manual_seed(0)
    options = dict(ONE_BLOCK)
    card = Card(
        architecture=options.pop("architecture"),
        options=options,
        classes=["x", "y"],
        preprocessing=Preprocessing(size=32, mean=[0.5], std=[0.5]),
        zero_shot={},
    )
    save_checkpoint(path, build(card), card)
    return path


GRID = [
    {**vars(run_of(kind, rate, width, seed=seed, learning_rate=learning_rate))}
    for kind, width in [("linear", None), ("probe", None), ("probe", 8)]
    for rate in RATES
    for learning_rate in (0.05, 0.01)
    for seed in (0, 1)
]


@pytest.fixture(scope="module")
def fitted(checkpoint, examples):
    return fit_family(
        checkpoint, examples, leave_out(examples, HELD_OUT), SETTINGS | {"runs": GRID}
    )


def test_on_a_gpu_it_is_the_same(fitted, checkpoint, examples, pretended_gpu):
    held = leave_out(examples, HELD_OUT)
    there = fit_family(checkpoint, examples, held, SETTINGS | {"runs": GRID})
    assert there.entries == fitted.entries
    np.testing.assert_allclose(
        there.true_log_probability_EN, fitted.true_log_probability_EN, rtol=1e-3, atol=1e-4
    )


def test_every_run_has_its_selected_and_last_checkpoint(fitted, examples):
    runs = [Run(**run) for run in GRID]
    assert [curve.run for curve in fitted.curves] == runs
    assert [(entry.run, entry.version) for entry in fitted.entries] == list(
        itertools.product(runs, ["selected", "last"])
    )
    for curve, selected, last in zip(
        fitted.curves, fitted.entries[::2], fitted.entries[1::2], strict=True
    ):
        assert curve.steps == (2, 4, 6)
        assert selected.step == curve.steps[int(np.argmax(curve.tune))]
        assert last.step is None
        of_entry = (selected.rate, selected.kind, selected.width)
        assert of_entry == (curve.run.rate, curve.run.kind, curve.run.width)
    np.testing.assert_array_equal(fitted.positions_N, reported_positions(examples, HELD_OUT))


def test_accuracies_are_those_of_the_predictions(fitted, examples):
    labels_N = examples.labels[fitted.positions_N]
    groups_N = np.array(examples.groups)[fitted.positions_N]
    for entry, predicted_N in zip(fitted.entries, fitted.predicted_EN, strict=True):
        curve = next(curve for curve in fitted.curves if curve.run == entry.run)
        at = curve.steps.index(entry.step) if entry.step else -1
        right = {
            domain: accuracy_score(labels_N[groups_N == domain], predicted_N[groups_N == domain])
            for domain in dict.fromkeys(examples.groups)
        }
        assert curve.ood[at] == pytest.approx(right.pop(HELD_OUT))
        assert curve.iid[at] == pytest.approx(np.mean([*right.values()]))


def test_a_run_alone_says_the_same(fitted, checkpoint, examples):
    held = leave_out(examples, HELD_OUT)
    for i in (3, 35):
        alone = fit_family(checkpoint, examples, held, SETTINGS | {"runs": [GRID[i]]})
        np.testing.assert_allclose(
            alone.true_log_probability_EN,
            fitted.true_log_probability_EN[2 * i : 2 * i + 2],
            rtol=1e-4,
            atol=1e-5,
        )


def test_rates_seeds_kinds_and_widths_matter(fitted):
    last = fitted.true_log_probability_EN[1::2]
    assert len(np.unique(last, axis=0)) == len(last)


def test_outputs_are_standardised_by_training_images(checkpoint, examples):
    model, card = start_of(checkpoint, HELD_OUT, examples.classes)
    held = with_images(leave_out(examples, HELD_OUT), 20)
    blocks = residual_blocks(model, "it", 3)

    def outputs(strength):
        settings = SETTINGS | {"augmentation": strength}
        task = Task(examples, held, card["preprocessing"], settings)
        return task, outputs_of_task(model, blocks, task)

    task, augmented = outputs("light")
    assert augmented.train_ANKD.shape == (4, 60, 3, 64)
    assert len(augmented.train_ANKD[:, 0, -1].unique(dim=0)) == 4
    _, plain = outputs("none")
    assert plain.train_ANKD.shape == (1, 60, 3, 64)
    # The last block's are the network's features, and rows are where they are said to be.
    where = np.concatenate([*held.train.values()])
    learned_ND, reported_ND = (
        torch.cat([x for x, _ in predict(model, examples.images_NHW[at], card["preprocessing"])])
        for at in (where, task.reported)
    )
    scaler = nn.BatchNorm1d(64, affine=False, momentum=1.0)
    torch.testing.assert_close(plain.train_ANKD[0, :, -1], scaler(learned_ND), rtol=1e-3, atol=1e-3)
    # Running variances are of samples; the paper's normalisation is by those of the population.
    scaler.running_var *= (len(where) - 1) / len(where)
    expected_ND = scaler.eval()(reported_ND)
    evaluated_ND = plain.evaluated_NKD[-len(task.reported) :, -1]
    torch.testing.assert_close(evaluated_ND, expected_ND, rtol=1e-3, atol=1e-3)
    centre_KD = augmented.train_ANKD.mean(dim=(0, 1))
    torch.testing.assert_close(centre_KD, torch.zeros(3, 64), rtol=0, atol=1e-4)
    for domain, rows in plain.rows.items():
        assert {examples.groups[i] for i in where[rows]} == {domain}
    np.testing.assert_array_equal(plain.labels_N, examples.labels[where])


def test_what_diverges_is_a_guess_and_told(checkpoint, examples, caplog):
    runs = [vars(run_of("linear", learning_rate=rate)) for rate in (1e30, 0.01)]
    held = leave_out(examples, HELD_OUT)
    fitted = fit_family(checkpoint, examples, held, SETTINGS | {"runs": runs})
    np.testing.assert_allclose(fitted.confidence_EN[:2], 0.1, rtol=1e-6)
    assert fitted.confidence_EN[2:].max() > 0.11
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "learning_rate=1e+30" in warnings[0]
    assert "diverged by step 2" in warnings[0]


def test_too_wide_a_probe_is_refused(checkpoint, examples):
    settings = SETTINGS | {"runs": [vars(run_of("probe", width=65))]}
    with pytest.raises(InputError, match=r"has 65, but architecture 'resnet14t' has 64 features"):
        fit_family(checkpoint, examples, leave_out(examples, HELD_OUT), settings)


def test_the_unseen_domain_and_unused_images_teach_nothing(fitted, checkpoint, examples):
    """Other images in the held-out domain, and in training beyond `images`, change no curve."""
    held = leave_out(examples, HELD_OUT)
    limited = with_images(held, SETTINGS["images"])
    images_NHW = examples.images_NHW.copy()
    for domain, positions in held.train.items():
        images_NHW[np.setdiff1d(positions, limited.train[domain])] = 255
    images_NHW[held.unseen] = 0
    other = replace(examples, images_NHW=images_NHW)
    assert isinstance(other, Examples)
    again = fit_family(checkpoint, other, held, SETTINGS | {"runs": GRID[:4]})
    for before, after in zip(fitted.curves, again.curves, strict=False):
        assert (before.tune, before.iid) == (after.tune, after.iid)
