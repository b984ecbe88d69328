# Two commands need no other before them: make demo, make test.
.DEFAULT_GOAL := help
FLAVOUR ?= mariadb
ARGS ?=
PROCESSES ?= auto
NAMES ?=

.PHONY: help setup demo playground test fuzz storm versions crash-matrix bench bench-failover bench-ddl bench-idle rolling \
  check stubs mysql servers dist image lock deploy-tools deploy-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  demo and playground take FLAVOUR=mysql (after make mysql); they and test take ARGS='...'."

setup: ## what everything else needs: .venv, and as root the missing server packages
	@scripts/setup.sh

demo: setup ## replicate a live workload, kill the owner, compare source and sink
	@.venv/bin/hedgerow demo --flavour $(FLAVOUR) $(ARGS)

playground: setup ## keep such a cluster running to play with
	@.venv/bin/hedgerow playground --flavour $(FLAVOUR) $(ARGS)

# Whole files in their order, so that neighbours share a cluster, and the short unit tests are left to level the end.
test: setup ## every test; MySQL's too if there is one (make mysql); ARGS='-n 0 tests/unit' for some, in one process
	.venv/bin/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

versions: setup ## types, DDL, sources and sinks on every version that make servers has fetched, and upgrades
	scripts/test_versions.sh $(NAMES)

crash-matrix: setup ## DDL cut short at every step on every node, with failover of the sink; ARGS='--flavour mysql --sample 20'
	.venv/bin/python -m tests.crash $(ARGS)

storm: setup ## random DDL and DML under random faults; ARGS='--flavour mysql --minutes 30 --seed 7', --help for more
	.venv/bin/python -m tests.storm $(ARGS)

fuzz: setup ## hostile bytes as a source could send them, for ten minutes; ARGS='--seconds 3600 --seed 7'
	.venv/bin/python -m tests.unit.dispatcher.source.fuzz $(ARGS)

bench: setup ## speed next to the servers' own replication (docs/performance.md); ARGS='--quick' to try it, '--help' for more
	.venv/bin/python -m bench $(ARGS)

bench-failover: setup ## pauses when owners are killed, frozen, moved; ARGS='--quick' or '--flavour mysql'
	.venv/bin/python -m bench.failover $(ARGS)

rolling: setup ## a rolling update, with processes for pods: each table's longest pause; ARGS='--rounds 1 --flavour mysql'
	.venv/bin/python -m bench.rolling $(ARGS)

bench-ddl: setup ## how fast tables are created while replicating; ARGS='--tables 250 --flavour mysql'
	.venv/bin/python -m bench.ddl $(ARGS)

bench-idle: setup ## what idle tables cost in the sink's binlog; ARGS='--flavour mysql'
	.venv/bin/python -m bench.idletables $(ARGS)

check: setup ## formatting, lint, types, direction of imports, generated stubs
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	scripts/check_stubs.sh

stubs: setup ## generate common/pb again from proto/
	scripts/generate_stubs.sh

mysql: ## a MySQL server in .mysql/root, from Debian's archive (as root)
	scripts/mysql.sh

servers: ## other versions of the servers in .servers; NAMES='mariadb-11.8 ...' for some
	scripts/servers.sh $(NAMES)

dist: setup ## wheel and sdist in dist/, and the SBOM (make deploy-tools)
	scripts/dist.sh

image: deploy-tools ## build the image and start it, where there is a builder; BASE=..., IMAGE=...
	scripts/image.sh

lock: deploy-tools ## pin what the image installs, by hash; ARGS=--upgrade for newer versions
	scripts/lock.sh $(ARGS)

deploy-tools: setup ## what dist, image, lock and deploy-check need beside setup, in .venv
	@scripts/deploy_tools.sh

deploy-check: deploy-tools ## manifests, unit, compose and Containerfile against schemas and linters; says what was not checked
	@scripts/deploy_check.sh

clean: ## remove what the others made, except .mysql and .servers
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.mysql/*' -not -path './.servers/*' -prune -exec rm -rf {} +
