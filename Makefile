# Candidates for the interpreter behind .venv; `make PYTHON=/path/to/python3` names one.
PYTHON ?= python3.13 python3.12 python3.11 python3
CORES ?= all

IN_ENVIRONMENT = PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: figures published environment report gallery test test-paper test-slurm test-remotes lint lock bench

SNAKEMAKE = $(IN_ENVIRONMENT) snakemake --workflow-profile workflow/profiles/default --cores $(CORES)

figures: .venv/.stamp
	@$(SNAKEMAKE) figures
	@$(IN_ENVIRONMENT) python workflow/scripts/summarise.py --run demo

published: .venv/.stamp
	@$(SNAKEMAKE) figures --configfile config/published.yaml
	@$(IN_ENVIRONMENT) python workflow/scripts/summarise.py --run published

environment: .venv/.stamp

report: figures
	@mkdir -p build
	@$(IN_ENVIRONMENT) snakemake --report build/report-demo.zip figures

gallery: figures published
	@$(IN_ENVIRONMENT) python workflow/scripts/gallery.py

test: .venv/.stamp
	@$(IN_ENVIRONMENT) pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder

test-paper: .venv/.stamp
	@$(IN_ENVIRONMENT) pytest -m 'paper or not paper' --numprocesses 2 --dist loadscope tests/workflow/test_paper_*sample.py

test-slurm: .venv/.stamp
	@$(IN_ENVIRONMENT) pytest -m slurm tests/workflow/test_slurm.py

test-remotes: .venv/.stamp
	@$(IN_ENVIRONMENT) pytest -m remotes tests/workflow/test_remotes.py

lint: .venv/.stamp
	@$(IN_ENVIRONMENT) ruff check .
	@$(IN_ENVIRONMENT) ruff format --check .
	@$(IN_ENVIRONMENT) snakefmt --check Snakefile workflow/rules

lock: .venv/.stamp
	@$(IN_ENVIRONMENT) python envs/compile.py

bench: .venv/.stamp
	@$(IN_ENVIRONMENT) python benchmarks/pairs.py
	@$(IN_ENVIRONMENT) python benchmarks/low_data.py
	@$(IN_ENVIRONMENT) python benchmarks/connectivity.py
	@$(IN_ENVIRONMENT) python benchmarks/logits.py

# An environment that works is brought up to date; a missing or broken one is made anew.
.venv/.stamp: pyproject.toml requirements.lock envs/bootstrap.txt
	@.venv/bin/python -m pip --version >/dev/null 2>&1 && exit; \
	for python in $(PYTHON); do \
		$$python -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
			&& exec $$python -m venv --clear .venv; \
	done; \
	echo "dissent needs Python 3.11, 3.12 or 3.13 with its venv module, and none of '$(PYTHON)' is:" \
		"install one, or name it with 'make PYTHON=/path/to/python3'." >&2; exit 1
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/bootstrap.txt
	@.venv/bin/uv pip sync --compile-bytecode --python .venv/bin/python --require-hashes requirements.lock envs/bootstrap.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
