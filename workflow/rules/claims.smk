# The papers' claims, each with this run's numbers and verdict.
CLAIMS_FILE = f"{RESULTS}/claims.csv"


rule evaluate_claims:
    input:
        **code("metrics/evaluate_claims.py"),
        claims="config/claims.csv",
        statistics=STATISTICS,
    output:
        CLAIMS_FILE,
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
            "--claims {input.claims:q} --statistics {input.statistics:q} --output {output:q}"
        )
