"""Barriers between networks of families, their clusters, and what these generalise to."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent import connectivity_curves as curves
from dissent import connectivity_separation as separation
from dissent import connectivity_tables as tables
from dissent.connected_families import Settings, measure, read_families
from dissent.examples import read_examples
from dissent.files import write_table


def main(arguments: argparse.Namespace) -> None:
    settings = Settings(**arguments.settings)
    data_sets = [read_examples(path) for path in arguments.data]
    families = read_families(arguments.connections, data_sets, settings)
    measured = [here for family in families for here in measure(family)]
    write_table(tables.pairs_table(measured), arguments.output_pairs)
    write_table(tables.members_table(measured), arguments.output_members)
    write_table(tables.diagnostics_table(measured), arguments.output_diagnostics)
    write_table(tables.clusters_table(measured), arguments.output_clusters)
    write_table(tables.dynamics_table(measured), arguments.output_dynamics)
    write_table(tables.checks_table(measured), arguments.output_checks)
    write_table(separation.separation_table(measured), arguments.output_separation)
    write_table(separation.statistics_table(measured), arguments.output_statistics)
    write_table(curves.curves_table(families), arguments.output_curves)
    write_table(curves.planes_table(families), arguments.output_planes)
    write_table(curves.points_table(families), arguments.output_plane_points)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--connections", required=True, nargs="+", type=Path, help="file of each family"
    )
    parser.add_argument(
        "--data", required=True, nargs="+", type=Path, help="file of each data set they are of"
    )
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: window, affinity_scale, clusters, permutations, resamples, level, strategy",
    )
    parser.add_argument("--output-pairs", required=True, type=Path, help="a row a pair")
    parser.add_argument("--output-members", required=True, type=Path, help="a row a network")
    parser.add_argument("--output-diagnostics", required=True, type=Path, help="a row a group")
    parser.add_argument("--output-clusters", required=True, type=Path, help="a row a family")
    parser.add_argument("--output-separation", required=True, type=Path, help="clusters' tests")
    parser.add_argument("--output-curves", required=True, type=Path, help="losses on paths")
    parser.add_argument("--output-planes", required=True, type=Path, help="losses on planes")
    parser.add_argument("--output-plane-points", required=True, type=Path, help="networks on them")
    parser.add_argument("--output-dynamics", required=True, type=Path, help="networks by step")
    parser.add_argument("--output-checks", required=True, type=Path, help="is the gap a distance?")
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
