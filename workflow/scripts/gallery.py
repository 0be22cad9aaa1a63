"""Put what finished runs show into the documentation: docs/gallery and README.md."""

import argparse
import re
import shutil
from pathlib import Path

import pandas as pd

from dissent.claims import measured

GALLERY = Path("docs/gallery")
RUNS = ("demo", "published")


def main() -> None:
    for run in RUNS:
        results = Path("results") / run
        if (results / "claims.csv").exists():
            take(results, GALLERY / run)
    claims = {run: pd.read_csv(GALLERY / run / "claims.csv", index_col="id") for run in RUNS}
    put_between("claims", claims_table(claims), Path("README.md"))
    put_between("answers", answers(GALLERY / "published"), GALLERY / "README.md")


def take(results: Path, gallery: Path) -> None:
    """Copy what the documentation shows of a run."""
    shutil.rmtree(gallery, ignore_errors=True)
    shown = [results / "claims.csv", *results.glob("figures/*/*.png")]
    shown += results.glob("metrics/*/ensembling.txt")
    for file in shown:
        target = gallery / file.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def put_between(name: str, content: str, page: Path) -> None:
    """Replace what lies between a pair of marks on a page."""
    begin, end = f"<!-- {name}: written by `make gallery` -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{begin}\n{content}\n{end}", page.read_text()))


def claims_table(claims: dict[str, pd.DataFrame]) -> str:
    """The claims as a Markdown table, with what each run says of them."""
    runs = "".join(f" {run} | verdict |" for run in claims)
    lines = [f"| figure | claim | paper |{runs}", f"|---|---|---|{'---|---|' * len(claims)}"]
    for claim in next(iter(claims.values())).itertuples():
        line = f"| {claim.figure} | {claim.claim} | {claim.paper_value} |"
        for table in claims.values():
            row = next(table.loc[[claim.Index]].itertuples())
            line += f" {measured(row)} | **{row.verdict}** |"
        lines.append(line)
    return "\n".join(lines)


def answers(gallery: Path) -> str:
    """Which models are worth ensembling, as a list with an item a data set."""
    files = sorted(gallery.glob("metrics/*/ensembling.txt"))
    return "\n".join(f"* {file.read_text().strip()}" for file in files)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
