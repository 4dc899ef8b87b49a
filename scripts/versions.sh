# shellcheck shell=bash disable=SC2034 # used by the scripts that source this file
# Versions of the tools that the scripts build. The real Vault's version is in tests/vault/go.mod.

cargo_deny_version=0.20.2
cargo_llvm_cov_version=0.9.1
cargo_fuzz_version=0.13.2
