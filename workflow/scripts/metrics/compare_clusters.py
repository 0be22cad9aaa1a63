"""How two clusters of published models differ, in domain and on a diagnostic set."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import clusters, commandline, published
from dissent.bootstrap import percentile_interval
from dissent.commandline import InputError
from dissent.files import write_table
from dissent.progress import progress
from dissent.relations import resample_models

DIAGNOSTIC = published.SUBSETS["Lexical (nonent)"]
KINDS = {
    published.MNLI: "in domain",
    **dict.fromkeys(published.SUBSETS.values(), "subset"),
    published.HANS: "all subsets",
}


def main(arguments: argparse.Namespace) -> None:
    runs = published.read_accuracies(arguments.runs)
    runs.insert(1, "cluster", published.read_clusters(arguments.clusters, runs["run"]))
    large_P = (runs["cluster"] == "large").to_numpy()
    rng = np.random.default_rng(arguments.seed)
    index_RP = resample_models(large_P, arguments.resamples, rng)
    measures = runs.columns.drop(["run", "cluster"])
    rows = [
        compare(name, runs[name].to_numpy(), large_P, index_RP, arguments)
        for name in progress(measures, "comparing clusters", len(measures))
    ]
    write_table(pd.DataFrame(rows), arguments.output)
    drawn = [*published.ACCURACIES.values()]
    write_table(runs[["run", "cluster", *drawn]], arguments.output_runs)
    write_table(statistics(runs, large_P, index_RP, arguments), arguments.output_statistics)


def compare(name, values_P, large_P, index_RP, arguments) -> dict[str, object]:
    """One measure: mean, its interval, sd and n of each cluster, and how they differ."""
    row = {"measure": name, "kind": KINDS.get(name, "sub-case")}
    means = dict(
        zip(published.CLUSTERS, clusters.cluster_means(values_P, large_P, index_RP), strict=True)
    )
    for cluster, of_cluster_P in (("small", ~large_P), ("large", large_P)):
        row |= {
            f"{cluster}_n": of_cluster_P.sum(),
            **with_interval(f"{cluster}_mean", means[cluster], arguments.level),
            f"{cluster}_sd": values_P[of_cluster_P].std(ddof=1),
        }
    return row | {
        **with_interval("difference", means["large"] - means["small"], arguments.level),
        "p_value": clusters.permutation_p(
            values_P, large_P, arguments.permutations, arguments.seed
        ),
        "correlation": clusters.membership_correlation(values_P, large_P),
    }


def statistics(runs, large_P, index_RP, arguments) -> pd.DataFrame:
    """Differences, large less small: in domain, on the diagnostic, and there at equal accuracy."""
    values = {name: runs[name].to_numpy() for name in (published.MNLI, DIAGNOSTIC)}
    names = {"mnli": published.MNLI, "hans": DIAGNOSTIC}
    rows = []
    for short, name in names.items():
        small_R, large_R = clusters.cluster_means(values[name], large_P, index_RP)
        rows.append((f"clusters_{short}_difference", large_R - small_R, len(runs), "models"))
    for short, name in names.items():
        matched_R, n_R = clusters.matched_difference(
            values[name], values[published.MNLI], large_P, arguments.caliper, index_RP
        )
        counted = "models of the small cluster"
        rows.append((f"clusters_{short}_difference_matched", matched_R, n_R[0], counted))
    if not n_R[0]:
        raise InputError(
            f"no run of the small cluster has one of the large within {arguments.caliper} of its "
            "accuracy: widen the caliper"
        )
    return pd.DataFrame(
        {"statistic": name, **with_interval("value", value_R, arguments.level), "n": n, "n_of": of}
        for name, value_R, n, of in rows
    ).rename(columns={"value_low": "low", "value_high": "high"})


def with_interval(name: str, value_R: np.ndarray, level: float) -> dict[str, float]:
    low, high = percentile_interval(value_R[1:], level)
    return {name: value_R[0], f"{name}_low": low, f"{name}_high": high}


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--runs", required=True, type=Path, help="accuracies of each run, as CSV")
    parser.add_argument("--clusters", required=True, type=Path, help="cluster of each run, as CSV")
    parser.add_argument(
        "--caliper", required=True, type=float, help="most by which equal accuracies differ"
    )
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--permutations", required=True, type=int, help="of the cluster labels")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path, help="a row a measure")
    parser.add_argument("--output-runs", required=True, type=Path, help="a row a run")
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
