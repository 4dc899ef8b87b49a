//! Listing keys with slashes as if they were folders.

/// What is directly below `folder` (`""` is the top): names, and `name/` for deeper ones. Sorted, each once.
pub(super) fn children<'a>(keys: impl Iterator<Item = &'a String>, folder: &str) -> Vec<String> {
    let prefix = match folder.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let below = keys.filter_map(|key| key.strip_prefix(prefix.as_str()));
    let mut names: Vec<String> = below
        .map(|name| name.split_once('/').map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/")))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_names() {
        let keys = ["a", "b/c", "b/d/e", "bc"].map(str::to_owned);
        assert_eq!(children(keys.iter(), ""), ["a", "b/", "bc"]);
        assert_eq!(children(keys.iter(), "b"), ["c", "d/"]);
        assert_eq!(children(keys.iter(), "a"), [""; 0]);
    }
}
