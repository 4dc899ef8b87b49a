//! What a path in Vault may look like.

/// The path without slashes around it; `None` if a segment is empty, `.` or `..`, or there is a control character.
pub(crate) fn checked(path: &str) -> Option<&str> {
    let path = path.trim_matches('/');
    let wrong = path.is_empty()
        || path.chars().any(char::is_control)
        || path.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    (!wrong).then_some(path)
}
