# Everything below works in .venv, made from the lock file by the first Python >= 3.11 that is found; but for the demo.
# Another interpreter: make test PYTHON=/path/to/python3.12 VENV=.venv-3.12

SHELL := /bin/sh
VENV ?= .venv
PYTHON ?=
ARGS ?=
# Most tests wait for a server or for a file to stand still, so more of them run at a time than there are cores.
WORKERS ?= 6
# How many cases the tests of rules search through: PROFILE=usual takes ten times as many, as CI does.
PROFILE ?= quick
BIN := $(VENV)/bin
# Where Python may keep nothing, each of hundreds of processes compiles the source anew.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
# A test that wants one of these and is not marked so must not find it by chance.
WITHOUT := VERSITYGW=absent GOFAKES3=absent RCLONE=absent NANIO=absent LOCALBUCKET=absent AZURITE=absent MINIO=absent WEED=absent CHROMIUM=absent CASSANDRA_JARS=absent
# Whoever asks for these tests means them: what they need and is not there is an error.
WITH := TABLESNAP_REQUIRE_SERVERS=1
FUZZ := .venv-fuzz
SERVERS := .venv-servers
SERVERS_OF_PYPI := $(foreach one,rclone nanio localbucket,$(shell echo $(one) | tr a-z A-Z)=$(CURDIR)/$(SERVERS)/bin/$(one))


.PHONY: help demo quick test test-servers test-stores test-cassandra test-packaging test-faults test-gcs check format
.PHONY: soak soak-deaths soak-cassandra fuzz mutants bench bench-amplification-record manual dist lock clean how-long

help:
	@echo 'make demo    see the daemon at work on an example directory'
	@echo 'make quick   run the tests of rules, catalog, restore, purge and upload, in less than a minute'
	@echo 'make test    run every test that needs nothing beyond PyPI, in about five minutes (ARGS="-k some_words": a part)'
	@echo 'make test-faults  tell every command every lie, and kill a daemon and a purge at every step, in some minutes'
	@echo 'make test-servers, make test-stores, make test-cassandra, make test-packaging'
	@echo '             run those that need a server, MinIO and SeaweedFS, a real Cassandra, or tools of Debian:'
	@echo '             CONTRIBUTING.md says what'
	@echo 'make soak    for those who have time: make soak-deaths, and then make soak-cassandra'
	@echo 'make soak-deaths     kill daemons at 500 steps, and look each time at what they left (KILLS=n: another number)'
	@echo 'make soak-cassandra  a real Cassandra at work for 10 minutes (MINUTES=n: as long as you like), faults at random'
	@echo '                     between the daemon and its store, and restores of all the while'
	@echo 'make fuzz    search each reader for bytes that bring it down, five minutes each (MINUTES=n; HARNESS=index: that one)'
	@echo 'make mutants change the rules of logs, views, purges and listings in small ways, and tell what no test notices;'
	@echo '             takes an hour (MODULE=rules/view.py: that one)'
	@echo 'make check   format, lint, types and import contracts'
	@echo 'make format  put the format right'
	@echo 'make bench   measure uploads, flushes, bases, indexes, listings, restores and purges; needs versitygw and 30 GB'
	@echo '             in TMPDIR, and takes 45 minutes; aws and s5cmd are measured beside it where they are'
	@echo '             (make bench-amplification-record records anew what Cassandra does, as make bench goes by the old record)'
	@echo 'make manual  make the manual pages and the completion of bash, zsh and fish in build/'
	@echo 'make dist    build the wheel and the source archive in dist/, the same bytes wherever they are built'
	@echo 'make lock    find the newest versions the project allows and write them down'
	@echo 'make clean   remove what the others made'

# In .venv where it is made already; else in an environment of its own, with what running needs and no more.
DEMO_VENV := $(if $(wildcard $(READY)),$(VENV),.venv-demo)

demo: $(DEMO_VENV)/.ready
	@$(DEMO_VENV)/bin/python demo/demo.py $(ARGS)

quick: $(READY)
	$(PYTEST) -q --hypothesis-profile=$(PROFILE) --numprocesses=2 \
		tests/rules tests/catalog tests/restore tests/purge tests/upload $(ARGS)

test: how-long $(READY)
	$(WITHOUT) $(PYTEST) --hypothesis-profile=$(PROFILE) --numprocesses=$(WORKERS) --dist=worksteal \
		-m 'not servers and not cassandra and not packaging and not faults and not gcs and not soak and not stores' $(ARGS)

how-long:
	@echo 'This takes about five minutes on two cores, and a minute more where $(VENV) is yet to be made.'

test-servers: $(READY) $(SERVERS)/.ready
	$(WITH) $(SERVERS_OF_PYPI) $(PYTEST) --numprocesses=$(WORKERS) -m servers $(ARGS)

# What CI does for some minutes, for longer. One after the other, also with -j: each has use for all cores.
soak:
	$(MAKE) soak-deaths
	$(MAKE) soak-cassandra

# The daemons that CI kills fifty times.
soak-deaths: $(READY)
	KILLS=$(or $(KILLS),500) $(PYTEST) --numprocesses=$(WORKERS) tests/faults/test_death.py $(ARGS)

fuzz: $(FUZZ)/.ready
	PYTHONPATH=src $(FUZZ)/bin/python -m tests.fuzz.run $(or $(MINUTES),5) $(HARNESS)

mutants: $(FUZZ)/.ready
	$(FUZZ)/bin/python -m tests.mutants $(MODULE)

# CONTRIBUTING.md says how to get the two.
test-stores: $(READY)
	$(WITH) $(PYTEST) --numprocesses=2 -m stores $(ARGS)

# Not quiet: it says each step, so that who waits for hours sees that it goes on.
soak-cassandra: $(READY)
	$(WITH) MINUTES=$(or $(MINUTES),10) $(PYTEST) -s tests/cassandra/test_soak.py $(ARGS)

# CONTRIBUTING.md says which server, and how to build it.
test-gcs: $(READY)
	$(WITH) $(PYTEST) -m gcs $(ARGS)

# Most of the time goes into waiting before a request is made again, so more workers than cores.
test-faults: $(READY)
	$(PYTEST) --hypothesis-profile=$(PROFILE) --numprocesses=6 -m faults $(ARGS)

# Each test has two Cassandras to feed: `tests/cassandra/conftest.py` has two workers at most run them.
test-cassandra: $(READY)
	$(WITH) $(PYTEST) --numprocesses=2 --dist=loadgroup --durations=10 -m cassandra $(ARGS)

# By file, as most of the time goes into what the tests of one file share: a package, a Debian, an image.
test-packaging: $(READY)
	$(WITH) $(PYTEST) --numprocesses=2 --dist=loadfile --durations=10 -m packaging $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	@$(BIN)/python -m bench.amplification
	@$(BIN)/python -m bench.index_economy
	@$(BIN)/python -m bench.purge
	@$(BIN)/python -m bench.flush
	@$(BIN)/python -m bench.upload
	@$(BIN)/python -m bench.listing
	@$(BIN)/python -m bench.restore

bench-amplification-record: $(READY)
	@$(BIN)/python -m bench.record_traces

# What a package installs; any Python with the locked libraries will do: PYTHONPATH=src python3 -m manual DIRECTORY
manual: $(READY)
	PYTHONPATH=src $(BIN)/python -m manual build

# Every time stamp in the two is SOURCE_DATE_EPOCH, or one that the build backend has for all.
dist: $(READY)
	rm -rf dist
	$(BIN)/python -m hatchling build

define MAKE_VENV
@found='$(PYTHON)'; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  [ -n "$$found" ] && break; \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found=$$candidate; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'make: no Python 3.11 or later was found; install one, or name it: make PYTHON=/path/to/python3' >&2; exit 1; \
	fi; \
	echo "making $(@D) with $$("$$found" --version)"; \
	rm -rf '$(@D)'; \
	"$$found" -m venv '$(@D)' || { \
	  rm -rf '$(@D)'; \
	  echo "make: $$found could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	}
endef

# The project's own build backend is in the lock too, so nothing is downloaded that no hash stands for.
$(READY): requirements-dev.txt pyproject.toml
	$(MAKE_VENV)
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

# Nothing is built: Python finds the source by its path. pip is not quiet, for it takes its time.
.venv-demo/.ready: requirements.txt
	$(MAKE_VENV)
	@echo 'installing what tablesnap needs to run, which takes half a minute or so:'
	@$(@D)/bin/python -m pip --disable-pip-version-check install --require-hashes -r requirements.txt
	@echo '$(CURDIR)/src' >"$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tablesnap.pth"
	@touch $@

# Servers, and nothing that is tested: what they need must not meet what tablesnap needs.
$(SERVERS)/.ready: requirements-servers.txt
	$(MAKE_VENV)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-servers.txt
	@touch $@

# What searches, and what the tests need: another environment, as few people run it, and it takes 100 MB.
$(FUZZ)/.ready: requirements-dev.txt requirements-fuzz.txt
	$(MAKE_VENV)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-dev.txt -r requirements-fuzz.txt
	@touch $@

LOCK_VENV := .venv-lock
COMPILE := CUSTOM_COMPILE_COMMAND='make lock' $(LOCK_VENV)/bin/pip-compile --quiet --upgrade --strip-extras --generate-hashes \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# Run with the oldest Python the project allows: what only that one needs is then in the lock as well.
lock:
	@$(if $(PYTHON),$(PYTHON),python3.11) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip --disable-pip-version-check --quiet install 'pip-tools>=7.4'
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --constraint requirements-dev.txt --allow-unsafe --only-build-deps --build-deps-for wheel \
		--output-file requirements-build.txt pyproject.toml
	$(COMPILE) --output-file requirements-servers.txt requirements-servers.in
	$(COMPILE) --constraint requirements-dev.txt --output-file requirements-fuzz.txt requirements-fuzz.in

clean:
	rm -rf .venv .venv-* .fuzz .mutants .demo .ci/local build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests demo bench manual -name __pycache__ -prune -exec rm -rf {} +
