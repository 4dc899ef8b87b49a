//! One suite, run on vault-dev and on a real Vault.
