# The papers' claims, each with this run's numbers and verdict.
# The table for people, and its numbers for `dvc metrics`.
# A run of no paper has no statistics that a claim could be judged by.
CLAIMS_FILES = [f"{RESULTS}/claims.csv", f"{RESULTS}/claims.json"] if STATISTICS else []


if STATISTICS:

    rule evaluate_claims:
        input:
            **code("metrics/evaluate_claims.py"),
            claims="config/claims.csv",
            statistics=STATISTICS,
        output:
            table=CLAIMS_FILES[0],
            numbers=CLAIMS_FILES[1],
        log:
            f"{LOGS}/evaluate_claims.log",
        benchmark:
            f"{LOGS}/benchmarks/evaluate_claims.tsv"
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=1000,
        message:
            "Claims"
        shell:
            run_script(
                "--claims {input.claims:q} --statistics {input.statistics:q}"
                " --table {output.table:q} --numbers {output.numbers:q}"
            )
