//! Everything unguessable: tokens, ids, passwords. From the operating system, as in a real Vault.

const BASE62: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `length` characters out of A–Z, a–z, 0–9.
pub(crate) fn base62(length: usize) -> String {
    let mut out = String::with_capacity(length);
    while out.len() < length {
        let mut block = [0_u8; 32];
        fill(&mut block);
        // 248 = 4 × 62: higher values would make some characters likelier than others.
        let usable = block.iter().filter(|byte| **byte < 248);
        out.extend(usable.take(length - out.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    out
}

/// A version 4 UUID, the form of Vault's ids.
pub(crate) fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A database password in Vault's default shape: 20 characters with upper, lower, digit and a dash.
pub(crate) fn password() -> String {
    loop {
        let mut candidate = base62(19);
        candidate.insert(usize::from(byte()) % 18 + 1, '-');
        let has = |wanted: fn(&char) -> bool| candidate.chars().any(|c| wanted(&c));
        if has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit) {
            return candidate;
        }
    }
}

/// Eight lower-case hexadecimal digits: the tail of a mount's accessor.
pub(crate) fn hex8() -> String {
    let mut bytes = [0_u8; 4];
    fill(&mut bytes);
    format!("{:08x}", u32::from_be_bytes(bytes))
}

/// 32 random bytes in base64: an unseal key.
pub(crate) fn key() -> String {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    fill(&mut bytes);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn byte() -> u8 {
    let mut one = [0_u8];
    fill(&mut one);
    one[0]
}

#[allow(
    clippy::expect_used,
    reason = "no operating system's random source fails after boot, and no token may be guessable"
)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system's random source");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(base62(24).len(), 24);
        assert!(base62(200).chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(base62(24), base62(24));
        assert_eq!(uuid().len(), 36);
        let password = password();
        assert_eq!(password.len(), 20);
        assert!(password.contains('-') && !password.starts_with('-') && !password.ends_with('-'));
    }
}
