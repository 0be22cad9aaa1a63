"""How good the ensembles chosen on one task are, and the fine-tunings they are chosen from."""

import argparse
from pathlib import Path

import pandas as pd

from dissent import choice_metrics, commandline, fine_tuning_metrics
from dissent.choice_metrics import Labels, Scores
from dissent.examples import read_examples
from dissent.files import atomic, write_table
from dissent.finetuned import read_fine_tunings
from dissent.tables import read_table

COMPARED = "single", "greedy"  # in the verdict


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.task)
    labels = Labels(*(examples.labels[examples.where(split)] for split in ("tune", "report")))
    fine_tunings = {path.stem: read_fine_tunings(path, examples) for path in arguments.fine_tunings}
    write_choices(arguments, fine_tunings, labels)
    ranking = read_table(arguments.ranking, text=["model", "category"])
    runs = fine_tuning_metrics.run_table(fine_tunings, labels.tune_N)
    fine_tuned = fine_tuning_metrics.fine_tuned_table(
        runs, fine_tunings, ranking, labels, arguments.metric
    )
    write_table(of_task(fine_tuned, arguments), arguments.output_fine_tuned)
    members = fine_tuning_metrics.diversity_members(
        runs, ranking, arguments.fine_tuned, arguments.pools
    )
    diversity = fine_tuning_metrics.diversity_table(members, fine_tunings, labels)
    write_table(of_task(diversity, arguments), arguments.output_diversity)


def write_choices(arguments: argparse.Namespace, fine_tunings: dict, labels: Labels) -> None:
    chosen = read_table(arguments.chosen, text=["method", "file", "model"])
    costs = read_table(arguments.costs, text=["model"]).set_index("model")
    choices, correct_AN = choice_metrics.evaluate_choices(
        chosen, fine_tunings, labels, costs, arguments.metric, arguments.bins
    )
    methods = of_task(choices, arguments)
    methods.insert(2, "metric", arguments.metric)
    write_table(methods, arguments.output_methods)
    names, contributions_ASN = choice_metrics.method_scores(
        choices, correct_AN, labels.report_N, arguments.metric
    )
    scores = Scores(arguments.name, arguments.group, names, contributions_ASN)
    choice_metrics.write_scores(arguments.output_scores, scores)
    full = choices[choice_metrics.is_full(choices)]
    of_first_seed = full[full["seed"] == full["seed"].min()]
    single, greedy = (of_first_seed.index[of_first_seed["method"] == m].item() for m in COMPARED)
    sentence = choice_metrics.verdict(
        arguments.name,
        choices.loc[greedy, "n_members"],
        correct_AN[single],
        correct_AN[greedy],
        arguments.level,
    )
    with atomic(arguments.output_verdict) as path:
        path.write_text(sentence + "\n", encoding="utf-8")


def of_task(table: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    about = pd.DataFrame({"task": arguments.name, "group": arguments.group}, table.index)
    return about.join(table)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--task", required=True, type=Path, help="data set file of the task")
    parser.add_argument("--name", required=True, help="of the task")
    parser.add_argument("--group", required=True, help="of tasks, that it belongs to")
    parser.add_argument("--metric", required=True, choices=choice_metrics.METRICS)
    parser.add_argument("--ranking", required=True, type=Path, help="candidates, as CSV")
    parser.add_argument("--costs", required=True, type=Path, help="of candidates, as CSV")
    parser.add_argument("--chosen", required=True, type=Path, help="a row a member, as CSV")
    parser.add_argument(
        "--fine-tunings", required=True, nargs="+", type=Path, help="fine-tunings files"
    )
    parser.add_argument(
        "--fine-tuned", required=True, type=int, help="best models of each pool, fine-tuned"
    )
    parser.add_argument("--pools", required=True, nargs="*", help="categories, if there are any")
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output-methods", required=True, type=Path, help="a row a choice")
    parser.add_argument("--output-diversity", required=True, type=Path)
    parser.add_argument("--output-fine-tuned", required=True, type=Path, help="a row a place")
    parser.add_argument("--output-scores", required=True, type=Path, help="by report example")
    parser.add_argument("--output-verdict", required=True, type=Path, help="a sentence")
    commandline.run(main, parser.parse_args())
