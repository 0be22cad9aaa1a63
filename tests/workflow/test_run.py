"""The `test` run as a whole, each rule with only what its environment file lists."""

import subprocess

import matplotlib.image
import pandas as pd
import pytest

from conftest import edited, planned, snakemake
from dissent.classifiers import load_checkpoint
from dissent.config import load_models, load_run

RUN = load_run("config/test.yaml")
MODELS = load_models(RUN.models, RUN)[0]


def test_every_figure_is_drawn_in_every_format(finished):
    figures = finished[0] / "results/test/figures/no_one_representation"
    stems = {path.stem for path in figures.iterdir()}
    assert [stem.split("_")[0] for stem in sorted(stems)] == [f"fig{i}" for i in range(1, 8)]
    low_data = figures.with_name("low_data_ensembles")
    assert {path.stem for path in low_data.iterdir()} == set(LOW_DATA)
    dropout = figures.with_name("very_large_dropout")
    assert {path.stem for path in dropout.iterdir()} == set(DROPOUT)
    drawn = {figures: stems, low_data: LOW_DATA, dropout: DROPOUT}
    for path in (folder / stem for folder, names in drawn.items() for stem in names):
        assert path.with_suffix(".svg").read_text().startswith("<?xml")
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert matplotlib.image.imread(path.with_suffix(".png")).size
        assert len(pd.read_csv(path.with_suffix(".csv")))


def test_every_claim_gets_a_verdict(finished):
    claims = pd.read_csv(finished[0] / "results/test/claims.csv")
    assert claims["id"].tolist() == pd.read_csv("config/claims.csv")["id"].tolist()
    assert claims["verdict"].isin(["supported", "not supported", "not measured"]).all()


def test_the_identity_of_ensembles_holds_for_every_pair(finished):
    pairs = pd.read_csv(finished[0] / "results/test/metrics/handwritten/pairs.csv")
    # One is fine-tuned with dropout, and compared with no other.
    assert len(pairs) == (len(MODELS) - 1) * (len(MODELS) - 2) / 2
    for rule in ("mean_probability", "mean_logit", "most_confident"):
        assert pairs[f"{rule}_identity_residual"].abs().max() < 1e-12


def test_every_model_has_a_checkpoint_that_loads(finished):
    for model in MODELS:
        load_checkpoint(finished[0] / f"results/test/checkpoints/{model}.safetensors")


def test_a_second_run_does_nothing(finished):
    folder, path = finished
    assert "Nothing to be done" in snakemake(folder, "--use-conda", "figures", PATH=path)


def test_a_run_in_ones_own_environment_takes_them_for_current(finished):
    # An environment counts by its file; that it is built elsewhere changes no result.
    assert "Nothing to be done" in snakemake(finished[0], "-n", "figures")


def test_results_stay_out_of_git(finished):
    ignored = subprocess.run(
        ["git", "check-ignore", "results/x", "logs/x", ".snakemake/x", ".venv/x"],
        capture_output=True,
        text=True,
    )
    assert len(ignored.stdout.split()) == 4


TRAINING = {"train_supervised", "train_other"}
LOGITS = {"logits_supervised", "logits_other"}
METRICS = {
    *("measure_models", "measure_pairs", "relate_base_pairs", "measure_specialisation"),
    *("add_greedily", "mix_features", "probe_downstream", "rank_ensembles"),
}
ENDS = {"evaluate_claims", "figures"}
FEATURES = {"features_supervised", "features_other"}
FINE_TUNED = {
    *("rank_candidates", "fine_tune_digits_reinit-1", "choose_ensembles", "refit_ensemble"),
}
METHODS = {"evaluate_choices", "compare_methods", "measure_robustness"}
LOW_DATA = ("methods", "budget", "ranking", "sizes", "diversity", "robustness")
LOW_DATA_FIGURES = {f"low_data_{name}" for name in LOW_DATA}
DROPOUT = (
    *("fig2_methods", "fig3_rates", "fig7_additions", "fig9_linear", "fig10_linear_last"),
    *("gains", "matched", "calibration", "widths"),
)
DROPOUT_FIGURES = {f"dropout_{name}" for name in DROPOUT}
COMPARED_DROPOUT = {"compare_dropout", *DROPOUT_FIGURES}
DROPOUT_RUNS = {"dropout_fine-tuning", "dropout_linear"}
FIGURES_AFTER_LOGITS = {*(f"fig{i}" for i in range(1, 8)), "worth_ensembling", *LOW_DATA_FIGURES}
FIGURES = FIGURES_AFTER_LOGITS | DROPOUT_FIGURES
AFTER_LOGITS = METRICS | FINE_TUNED | METHODS | FIGURES_AFTER_LOGITS | ENDS

OF_ALL_CHECKPOINTS = (
    TRAINING | LOGITS | FEATURES | {"count_costs"} | AFTER_LOGITS | DROPOUT_RUNS | COMPARED_DROPOUT
)


def stem(rule: str) -> str:
    """Figure rules by their number alone."""
    return rule.split("_")[0] if rule.startswith("fig") and rule != "figures" else rule


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        # Imported by one script, directly.
        ("claims", ENDS),
        ("greedy", {"add_greedily", "fig5", *ENDS}),
        # Imported by two.
        ("probes", {"mix_features", "probe_downstream", "fig6", "fig7", *ENDS}),
        # Imported by no script, but by a module of a module of one: all that follows runs too.
        ("training/objectives", OF_ALL_CHECKPOINTS),
        ("logits", LOGITS | FEATURES | AFTER_LOGITS | COMPARED_DROPOUT),
        # What is measured of fine-tunings does not make them anew.
        ("choice_metrics", METHODS | LOW_DATA_FIGURES | COMPARED_DROPOUT | ENDS),
        ("dropout_metrics", COMPARED_DROPOUT | ENDS),
        ("figures", FIGURES | {"figures"}),
        # Used by the workflow itself alone.
        ("provenance/imports", set()),
    ],
)
def test_editing_a_module_plans_just_the_jobs_that_use_it(finished, module, expected):
    folder, path = finished
    source = folder / "src/dissent" / f"{module}.py"
    with edited(source, source.read_text() + "\n# edited\n"):
        plan = planned(snakemake(folder, "--use-conda", "-n", "figures", PATH=path))
    assert {stem(rule) for rule in plan} == expected


def test_a_new_row_plans_its_own_jobs_and_what_names_all_models(finished):
    folder, path = finished
    table = folder / "config/models/test.csv"
    with edited(table, table.read_text() + "mine,reinit,train,base,7,,,,,,\n"):
        output = snakemake(folder, "--use-conda", "-n", "figures", PATH=path)
    assert {stem(rule) for rule in planned(output)} == {
        *("train_mine", "logits_mine", "features_mine", "count_costs"),
        *("measure_models", "measure_pairs", "relate_base_pairs", "add_greedily"),
        *("rank_ensembles", "worth_ensembling", "fig1", "fig2", "fig5", *ENDS),
        *(FINE_TUNED | METHODS | LOW_DATA_FIGURES),
    }


def test_touching_a_file_without_changing_it_plans_nothing(finished):
    folder, path = finished
    for source in folder.glob("src/dissent/*.py"):
        source.touch()
    output = snakemake(folder, "--use-conda", "-n", "figures", PATH=path)
    assert "Nothing to be done" in output


def test_moving_a_pin_plans_just_the_jobs_of_that_environment(finished):
    folder, path = finished
    environment = folder / "envs/torch.yaml"
    with edited(environment, environment.read_text() + "# another pin\n"):
        plan = planned(snakemake(folder, "--use-conda", "-n", "figures", PATH=path))
    assert {stem(rule) for rule in plan} == OF_ALL_CHECKPOINTS
