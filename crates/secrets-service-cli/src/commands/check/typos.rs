//! Variables that are probably misspelt settings: set, without effect, and nobody would tell.

/// The setting that `name` was probably meant to be, if it is not one itself.
pub(super) fn meant<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if known.iter().any(|setting| setting == name) || NOT_OURS.contains(&name) {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let similar = |setting: &&String| longer_or_shorter(&name, setting);
    let (letters, closest) = known.iter().map(|setting| (distance(&name, setting), setting)).min()?;
    if letters <= closest.len() / 8 + 1 {
        return Some(closest);
    }
    known.iter().find(similar).map(String::as_str)
}

/// `VAULT_ADDRESS` for `VAULT_ADDR`; `VAULT_CACHE_TTL` for `VAULT_CACHE_TTL_SECONDS`. Names of two words, such as
/// `VAULT_ROLE`, have too many other uses.
fn longer_or_shorter(name: &str, setting: &str) -> bool {
    let longer = name.strip_prefix(setting).is_some_and(|rest| rest.chars().all(char::is_alphabetic));
    let shorter = setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    longer || (shorter && name.starts_with("VAULT_") && name.matches('_').count() >= 2)
}

/// Variables of Vault's own programs that come close to one of ours.
const NOT_OURS: [&str; 2] = ["VAULT_CACERT_BYTES", "VAULT_AGENT_ADDR"];

/// How many letters must be put in, left out, replaced, or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Names of settings are short; an environment may hold anything.
    if a.len().abs_diff(b.len()) > 4 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use secrets_service::config::VARIABLES;

    use super::*;

    fn known() -> Vec<String> {
        VARIABLES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn misspelt_settings_are_recognised() {
        let cases = [
            ("VAULT_ADRR", "VAULT_ADDR"),
            ("VAULT_ADDRESS", "VAULT_ADDR"),
            ("VAUTL_ADDR", "VAULT_ADDR"),
            ("vault_token", "VAULT_TOKEN"),
            ("VAULT_SECRETID", "VAULT_SECRET_ID"),
            ("VAULT_CACHE_TTL_SECOND", "VAULT_CACHE_TTL_SECONDS"),
            ("VAULT_CACHE_TTL", "VAULT_CACHE_TTL_SECONDS"),
            ("SECRETS_API_KEY_PATH", "SECRETS_API_KEYS_PATH"),
            ("SECRETS_DB_ROEL", "SECRETS_DB_ROLE"),
        ];
        for (name, setting) in cases {
            assert_eq!(meant(name, &known()).unwrap_or_default(), setting, "{name}");
        }
    }

    #[test]
    fn right_ones_and_those_of_others_are_left_alone() {
        let others = [
            "VAULT_FORMAT",
            "VAULT_MAX_RETRIES",
            "VAULT_RATE_LIMIT",
            "VAULT_LOG_LEVEL",
            "VAULT_API_ADDR",
            "VAULT_CLUSTER_ADDR",
            "VAULT_AGENT_ADDR",
            "VAULT_PROXY_ADDR",
            "VAULT_CACERT_BYTES",
            "VAULT_SRV_LOOKUP",
            "VAULT_BIN",
            "VAULT_ROLE",
            "VAULT_SECRET",
            "PATH",
            "HOME",
            "",
        ];
        for name in others.into_iter().chain(VARIABLES.iter().map(|(name, _)| *name)) {
            assert_eq!(meant(name, &known()), None, "{name}");
        }
    }
}
