//! Which paths can name something in Vault.

/// The path without slashes around it; `None` if a segment is empty, `.` or `..`, or there is a control character.
pub(crate) fn checked(path: &str) -> Option<&str> {
    let path = path.trim_matches('/');
    gds_vault::is_path(path).then_some(path)
}
