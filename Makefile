# vitbench: `make` checks the machine, installs the locked environment and runs the workflow; `make help` lists the rest.
# Works with GNU make 3.81 (macOS) and later. All paths are relative, since the checkout's own may hold spaces.

.PHONY: all check help quick standard rigorous settle published campaigns smoke doctor install test lint lock docs pages clean .interpreter .ready .folder
.NOTPARALLEL:

# Settings of another project's Snakemake, and what would make each Python here another one (scripts/vitbench/
# environment.py has the reasons, and the list of what is left out of measurements).
unexport SNAKEMAKE_PROFILE PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE PYTHONPLATLIBDIR

# The first Python 3.11, that of the environment included; else any, so that the doctor can say which it found.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell unset PYTHONPATH PYTHONHOME; made_with="$$(.venv/bin/python -c 'import sys; print(sys._base_executable)' 2>/dev/null)"; \
  for each in python3.11 python3 python "$$made_with"; do \
    "$$each" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo "$$each" && exit; \
  done; echo python3)
endif

# The user's own options for Snakemake (or for pytest, lock.py): make ARGS="--dry-run"
ARGS ?=

# As it was typed: a folder's name may hold spaces, quotes and dollar signs.
export VITBENCH_PHOTOS := $(value photos)
config = $(strip $(repeats:%=repeats=%) $(if $(photos),"photos=$$photos"))
# In the shell: ~ and relative names made absolute, then quoted for YAML, as which Snakemake reads it (the blanks keep
# it from stripping these quotes, without which "a: b" were a mapping and " #" a comment).
find_photos = photos="$$VITBENCH_PHOTOS"; case "$$photos" in "~" | "~/"*) photos="$$HOME$${photos\#?}" ;; esac; \
  cd "$$photos" 2>/dev/null || { echo "vitbench: no folder photos=$$VITBENCH_PHOTOS" >&2; exit 1; }
yaml_photos = photos=" '$$($(find_photos); pwd | sed "s/'/''/g")' " || exit 1;

in_environment = PATH="$$(pwd)/.venv/bin:$$PATH"
snakemake = $(in_environment) .venv/bin/python -m snakemake --cores all
run = $(if $(photos),$(yaml_photos)) $(snakemake) $(if $(config),--config $(config)) $(ARGS)

all: $(if $(photos),.folder) install
	@.venv/bin/python scripts/unlock.py
	@$(run)

quick: repeats = 3
standard: repeats = 5
rigorous: repeats = 10
quick standard rigorous: all

settle: $(if $(photos),.folder) install
	@.venv/bin/python scripts/unlock.py
	@$(if $(photos),$(yaml_photos)) $(in_environment) .venv/bin/python scripts/settle.py --cores all $(if $(config),--config $(config)) $(ARGS)

published: install
	@.venv/bin/python scripts/unlock.py
	@$(snakemake) published $(ARGS)

campaigns: install
	@.venv/bin/python scripts/unlock.py
	@$(snakemake) campaigns $(ARGS)

smoke: install
	@mkdir -p .smoke
	@.venv/bin/python scripts/unlock.py --directory .smoke
	@$(snakemake) --configfile config/smoke.yaml --directory .smoke $(ARGS)

doctor: .interpreter
	@"$(PYTHON)" scripts/doctor.py --interpreter "$(PYTHON)"

install: .ready
	@"$(PYTHON)" scripts/install.py

# What a developer runs after each change: no JVM, no browser, no LibreOffice, no network, no installation, no whole run.
quick = not long and not ci and not jvm and not browser and not office and not network
check:
	@$(in_environment) .venv/bin/python -m pytest tests/unit -m "$(quick)" $(ARGS)

test: install
	@$(in_environment) .venv/bin/python -m pytest $(ARGS)

lint: install
	$(in_environment) .venv/bin/python -m snakemake --lint
	$(in_environment) snakefmt --check .
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	PYTHONPATH=scripts .venv/bin/lint-imports --no-cache

lock: install
	@$(in_environment) .venv/bin/python scripts/lock.py $(ARGS)

# The site, in .docs/site. Its packages lie in .docs/environment, for nothing that is measured needs them.
docs: install
	@cmp -s envs/docs.txt .docs/locked || { $(in_environment) uv venv --quiet --clear --python .venv/bin/python .docs/environment \
	  && $(in_environment) uv pip sync --quiet --require-hashes --python .docs/environment/bin/python envs/docs.txt \
	  && cp envs/docs.txt .docs/locked; }
	@PYTHONWARNINGS=ignore NO_MKDOCS_2_WARNING=1 .docs/environment/bin/mkdocs build --quiet --strict

# Every page and table that is written from code or data of this checkout; of campaigns: scripts/describe_campaign.py.
pages: install
	@$(in_environment) .venv/bin/python scripts/describe_configuration.py
	@$(in_environment) .venv/bin/python scripts/describe_tables.py
	@$(in_environment) .venv/bin/python scripts/describe_downloads.py
	@$(in_environment) .venv/bin/python scripts/describe_rules.py
	@$(in_environment) .venv/bin/python tests/reruns.py

# Measurements cost hours: nothing here removes them, nor downloads.
clean:
	rm -rf .smoke .docs .pytest_cache .ruff_cache

help:
	@echo "make                  check the machine, install, measure what is missing, draw charts and workbook"
	@echo "make photos=FOLDER    the same with your own photographs"
	@echo "make quick            3 repeats; make standard: 5, enough for a verdict; make rigorous: 10"
	@echo "make settle           more blocks until every comparison is decided, or most_repeats or budget_hours is reached"
	@echo "make published        the figures of the article from its numbers, and its claims checked; measures nothing"
	@echo "make campaigns        charts, workbook and page of every packed campaign (docs/campaigns.md); measures nothing"
	@echo "make doctor           is this machine fit, and what will be downloaded?"
	@echo "make install          the locked environment alone, in .venv"
	@echo "make check            the quick tests: no JVM, no browser, no network, no installation"
	@echo "make test             the test suite; make smoke: the whole workflow on a tiny model, in .smoke"
	@echo "make lint             the checks of style; make lock: newer versions into all locks"
	@echo "make docs             the pages of docs/ as a site, in .docs/site; make pages: writes those made of code anew"
	@echo "make clean            remove .smoke, .docs and caches; measurements stay"
	@echo "PYTHON=… chooses the interpreter (3.11), ARGS=… goes on to Snakemake, pytest or lock.py"

# What runs must exist and know enough syntax to say which Python it is; the doctor says the rest.
.interpreter:
	@"$(PYTHON)" -c "" 2>/dev/null || { echo "vitbench needs Python 3.11, found no Python that runs as $(PYTHON); point to one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 6) or sys.exit("vitbench needs Python 3.11, found %d.%d.%d (%s); point to one with: make PYTHON=/path/to/python3.11" % (sys.version_info[:3] + (sys.argv[1],)))' "$(PYTHON)"

.ready: .interpreter
	@"$(PYTHON)" scripts/doctor.py --brief --interpreter "$(PYTHON)"

.folder:
	@$(find_photos)
