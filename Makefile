# Every task of the project. A fresh machine needs git, make and Rust; the scripts obtain the rest or say what to run.

.DEFAULT_GOAL := help
.PHONY: help demo test ha-test rotation-test lint fmt wheels bench bench-agent fleet coverage vault audit setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## See it work: a Vault and a PostgreSQL on this machine, an outage, a recovery
	@scripts/demo

test: ## All tests, Rust and Python; the conformance suite on the development server and on a real Vault
	@scripts/test-all

ha-test: ## A Raft cluster of three real Vaults whose leader is killed under load, ten times (4 minutes)
	@scripts/ha-test

rotation-test: ## Credentials rotate under busy connection pools on a real Vault and a real PostgreSQL (11 minutes)
	@scripts/rotation-test

lint: ## Formatting, clippy, types, documentation, licences, shell scripts; warnings are errors
	@scripts/lint
	@scripts/python lint

fmt: ## Format the Rust and the Python code
	@cargo fmt --all
	@scripts/python fmt

wheels: ## Wheels and source archives of the Python packages in dist/, tried out in a fresh environment
	@scripts/python wheels

bench: ## Benchmarks against other clients and against the limit
	@scripts/bench

bench-agent: ## The agent beside Vault Proxy and nginx: speed, memory, start, outages under load (20 minutes)
	@scripts/bench-agent

fleet: ## 500 services through an outage of Vault, simulated: what reaches Vault, as a table and as docs/fleet.svg
	@scripts/fleet

coverage: ## Line coverage of the two libraries; fails under 85 %
	@scripts/coverage

vault: ## Obtain the real Vault that the tests use and print its path (8 to 15 minutes the first time)
	@scripts/vault

audit: ## Known vulnerabilities in the dependencies (needs the network)
	@scripts/audit

setup: ## Install what the build and the tests need, if it is missing
	@scripts/setup
