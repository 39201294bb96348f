# Quotewell: `make run` serves quotes, `make test` runs the tests. Needs Python 3.11+ and make; `make setup` installs the rest.

PYTHON ?= python3
BIN := .venv/bin
EMBEDDED := $(BIN)/python -m common.process.embedded

# tests/conftest.py decides how many processes there are, what each of them gets, and the order.
PARALLEL := --numprocesses auto --dist loadscope --no-loadscope-reorder

.PHONY: setup run test test-fast faults attack soak load deploy-check check migrate lock schema licences audit clean \
	bench-refresh bench-fair bench-read bench-watchlist bench-stream bench-login bench-versus bench-search

setup: .venv/ready

.venv/ready: requirements/development.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Quotewell needs Python 3.11 or newer, not %d.%d; say make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	@QUOTEWELL_ENV=$${QUOTEWELL_ENV:-development} $(EMBEDDED) $(BIN)/python -m ops.local.run

test: setup
	$(BIN)/python -m pytest $(PARALLEL)

# The tests of what most changes touch.
test-fast: setup
	$(BIN)/python -m pytest $(PARALLEL) tests/core tests/store tests/api

faults: setup
	$(BIN)/python -m tests.faults

# Some groups only: make attack ATTACKS="tokens races"
ATTACKS ?=

attack: setup
	$(BIN)/python -m tests.attack $(ATTACKS)

MINUTES ?= 60

soak: setup
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

load: setup
	$(BIN)/python -m bench.load

# Builds the image for real: root, and Debian's podman, debootstrap and crun. In mounts of its own, for crun of Debian 12 refuses a
# machine with both generations of cgroups, even if told to use none.
ALONE := unshare --mount sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$$@"' sh

deploy-check: setup
	$(BIN)/python -m pytest tests/deploy
	$(ALONE) $(BIN)/python -m pytest --verbose --capture=no --tb=short -p no:cacheprovider deploy/check/proof.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml api worker scheduler ops simulator db common
	git ls-files -z -- ':!tests' ':!requirements' | xargs -0 $(BIN)/detect-secrets-hook --exclude-lines 'demo123|user:password@|DEVELOPMENT_SECRET =|nobody at all|"bench " \* 8|"apikey": "bench"|"password": "password"|a1b2c3d4e5f6'

migrate: setup
	@QUOTEWELL_ENV=$${QUOTEWELL_ENV:-development} $(EMBEDDED) $(BIN)/python -m db.migrate

# Rewrites db/schema.sql, which shows what the migrations make.
schema: setup
	$(BIN)/python -m tests.db.schema

bench-refresh: setup
	$(BIN)/python -m bench.refresh

bench-fair: setup
	$(BIN)/python -m bench.fair

bench-read: setup
	$(BIN)/python -m bench.read

bench-watchlist: setup
	$(BIN)/python -m bench.watchlist

bench-stream: setup
	$(BIN)/python -m bench.stream

bench-login: setup
	$(BIN)/python -m bench.login

bench-versus: setup
	$(BIN)/python -m bench.versus

bench-search: setup
	$(BIN)/python -m bench.search

# Rewrites docs/licences.md. Needs the Python and the system of the image, because some packages are only for some systems.
licences: setup
	{ printf '# Licences\n\nThese are the licences of the packages in `requirements/production.txt`, on Linux and with the image'\''s Python. `make licences` writes this page.\n\n'; \
	  $(BIN)/pip-licenses --from=mixed --format=markdown --with-system --packages $$(sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' requirements/production.txt); } > docs/licences.md

# Asks the vulnerability databases, so it needs the internet.
audit: setup
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements/production.txt

# The locks have hashes and no index. Needs uv on the PATH.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/production.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev pyproject.toml -o requirements/development.txt

clean:
	rm -rf .venv .quotewell
