//! Names with two dots, which Vault's storage takes for a way out of a folder, wherever they stand.

use crate::core::{Call, Operation, Refusal};

const NOT_SUPPORTED: &str = "relative paths not supported";

/// For writes: Vault stumbles when it looks whether there is something under the name.
pub(super) fn check_write(path: &str) -> Result<(), Refusal> {
    if path.contains("..") { Err(Refusal::multi(500, "internal error")) } else { Ok(()) }
}

/// For all else.
pub(super) fn check(call: &Call<'_>) -> Result<(), Refusal> {
    match call.operation() {
        _ if !call.path.contains("..") => Ok(()),
        Operation::Read => Err(Refusal::multi(400, &format!("read failed: {NOT_SUPPORTED}"))),
        Operation::List | Operation::Delete => Err(Refusal::multi(400, NOT_SUPPORTED)),
        _ => Ok(()),
    }
}
