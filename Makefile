# `make` lists the targets. Written for any POSIX make; everything real is a Python command that runs without make too.

VENV   = .venv
PY     = $(VENV)/bin/python
STAMP  = $(VENV)/.installed
PYTEST = TQDM_DISABLE=1 $(PY) -m pytest
# Two processes, since everything here computes in one thread. The browser has the machine for itself: seconds count there.
NBVAL  = $(PYTEST) -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=300 \
         --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider notebooks/

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
	@echo "Settings: PYTHON= and TORCH_INDEX= (an extra index, for PyTorch's CPU wheels) for setup, PORT= for lab, TO= for handout."

setup: $(STAMP) ## build .venv from the lock, once; again when the lock has changed

# The stamp is made last, so that an installation broken off half-way is taken up again.
# Settings are read from the environment, where every make also puts what stands on its command line.
$(STAMP): requirements.txt pyproject.toml
	@command -v "$${PYTHON:-python3}" >/dev/null || \
	    { echo "There is no $${PYTHON:-python3} here. Name yours: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$${PYTHON:-python3}" -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "The course needs Python 3.11 or newer and this is %d.%d. Name another one: make setup PYTHON=python3.12" \
	    % sys.version_info[:2])'
	"$${PYTHON:-python3}" -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check \
	    $${TORCH_INDEX:+--extra-index-url "$$TORCH_INDEX"} -r requirements.txt
	$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

lab: $(STAMP) ## copy new lessons into my/ and open JupyterLab there
	@$(PY) -m lessons_lib.lab

test: $(STAMP) ## lint, unit tests, exercise proofs, every notebook under strict nbval, then JupyterLab in a browser
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PYTEST) -n 2 --dist worksteal -m "not browser" tests/
	$(NBVAL)
	$(PYTEST) -m browser tests/

test-browser: $(STAMP) ## only what drives JupyterLab in a real browser: sliders, exercises, every lesson from top to bottom
	$(PYTEST) -m browser tests/

# More threads than cores: those that wait must sleep, or a cell that takes seconds takes minutes.
test-matrix: $(STAMP) ## strict nbval with other thread counts, CPU capabilities and hash seeds
	@for setting in LESSONS_THREADS=1 LESSONS_THREADS=2 LESSONS_THREADS=4 \
	    ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 PYTHONHASHSEED=1729; do \
	    echo "== $$setting"; env OMP_WAIT_POLICY=passive $$setting $(NBVAL) || exit 1; \
	done

bench: $(STAMP) ## measure: the engine, a lesson's start, sliders in a browser, each notebook's seconds and memory
	$(PY) benchmarks/run.py

experiments: $(STAMP) ## run the long studies, or what is left of them, and write their CSV files; FRESH=--fresh runs all anew
	for study in context starts depth three_letters readers search regularisation packing \
	    parts fast curve vocabularies gpt_names; do \
	    TQDM_DISABLE=1 $(PY) experiments/$$study.py $$FRESH || exit 1; \
	done
	TQDM_DISABLE=1 $(PY) experiments/ladder.py
	$(PY) experiments/notebooks.py

refresh: $(STAMP) ## execute all notebooks in order and save their outputs
	$(PY) tests/refresh.py

handout: $(STAMP) ## write the notebooks without outputs and solutions, for a class
	$(PY) tests/handout.py "$${TO:-handout}"

clean: ## remove .venv and caches; my/ stays
	rm -rf $(VENV) build lessons_lib.egg-info .ruff_cache .hypothesis .pytest_cache
	find . -path ./my -prune -o -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help setup lab test test-browser test-matrix bench experiments refresh handout clean
