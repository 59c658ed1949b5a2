python = .venv/bin/python
# Programs of other users write there, too: the end-to-end tests' hosts.
measured = COVERAGE_FILE='$(CURDIR)/build/coverage/data' $(python)
floor = 95
corefloor = 100

help: ## what there is to make
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "%-10s%s\n", $$1, $$2 }' Makefile

demo: ## one whole session on this machine alone
	@scripts/setup run
	@$(python) -m tests.demo

test: ## all tests; the end-to-end ones need root on Linux; ONLY="tests/core" for some
	@scripts/setup test
	@$(python) -m pytest -n auto --dist worksteal $(ONLY)

pictures: ## docs/pictures, from the screens of the real program; PICTURES="session" for less
	@scripts/setup test
	@$(python) -m tests.pictures $(PICTURES)

bench: ## the figures of docs/performance.md, on this machine; BENCH="--json ssh growth" for less
	@scripts/setup test
	@$(python) -m tests.benchmarks $(BENCH)

charts: ## docs/pictures/performance.svg, from docs/performance.json
	@scripts/setup
	@$(python) -m tests.pictures.chart

attacks: ## docs/security.md, from the tests that play attacks; fails where one of them does
	@scripts/setup test
	@$(python) -m tests.attacks

reach: ## docs/reach.md, from the tests of every endpoint in every network; fails where one does
	@scripts/setup test
	@$(python) -m tests.reach

fuzz: ## 100,000 inputs for every parser of foreign bytes; FUZZ="--seed 7 pcp-map" for less
	@scripts/setup
	@$(python) -m tests.fuzz $(FUZZ)

style: ## ruff: lint and format
	@scripts/setup
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

types: ## mypy, strict, for Linux and macOS
	@scripts/setup
	@$(python) -m mypy --platform linux
	@$(python) -m mypy --platform darwin

coverage: ## all tests, measured, then `make floor`
	@$(MAKE) --no-print-directory measured floor

measured: ## all tests, for `make floor`
	@scripts/setup test
	@rm -rf build/coverage && mkdir -p build/coverage && chmod 1777 build/coverage
	@$(measured) -m pytest -n auto --dist worksteal --cov --cov-report=

core: ## tests/core, which must run every branch of core/
	@scripts/setup test
	@mkdir -p build/coverage
	@COVERAGE_FILE=build/coverage/core $(python) -m pytest -q -n auto tests/core --cov=pairingd/core --cov-branch \
		--cov-report=term-missing:skip-covered --cov-fail-under=$(corefloor)

floor: ## what the tests of the last `make measured` did not run; fails below the floor
	@$(measured) -m coverage report --show-missing --skip-covered --fail-under=$(floor)
	@$(measured) -m coverage report --include='pairingd/core/*' --fail-under=$(corefloor)

docs: ## docs/protocol.md and the shells' completions, from the models and the parser
	@scripts/setup
	@$(python) -m tests.protocol_document
	@$(python) -m tests.completions

clean: ## remove what make made
	rm -rf .venv .venv.new build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo test pictures bench charts attacks reach fuzz style types coverage measured core floor docs clean
