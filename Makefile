# Every task of the project. A fresh machine needs git, make and Rust; the scripts obtain the rest or say what to run.

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt bench coverage vault audit setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## See it work: a Vault and a PostgreSQL on this machine, an outage, a recovery
	@scripts/demo

test: ## All tests; the conformance suite on the development server and on a real Vault
	@scripts/test

lint: ## Formatting, clippy, documentation, licences, shell scripts; warnings are errors
	@scripts/lint

fmt: ## Format the Rust code
	@cargo fmt --all

bench: ## Benchmarks against other clients and against the limit
	@scripts/bench

coverage: ## Line coverage of the two libraries; fails under 85 %
	@scripts/coverage

vault: ## Obtain the real Vault that the tests use and print its path (8 to 15 minutes the first time)
	@scripts/vault

audit: ## Known vulnerabilities in the dependencies (needs the network)
	@scripts/audit

setup: ## Install what the build and the tests need, if it is missing
	@scripts/setup
