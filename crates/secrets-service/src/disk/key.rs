//! Where the key comes from.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use gds_vault::Credential;
use zeroize::Zeroizing;

use super::KeySource;
use super::place::check_key_file;
use super::seal::Material;
use crate::config::{AuthSettings, SecretIdSource};

/// Bytes of a key that is given (rather than derived).
const KEY: usize = 32;

/// As much as is read of a file that should hold a key or a secret_id.
const LONGEST: usize = 64 << 10;

/// What keys are derived from; the error says what to change, and never what was found.
pub(crate) fn read(source: &KeySource, auth: &AuthSettings) -> Result<Material, String> {
    match source {
        KeySource::File(path) => {
            let content = read_file(path, true)?;
            key_in(&content).ok_or_else(|| format!("{} {NO_KEY}", path.display()))
        }
        KeySource::SystemdCredential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(
                "CREDENTIALS_DIRECTORY is not set: this is no service of systemd's, or it has no credentials",
            )?;
            // Systemd sees to who may read it, by means that are not in its mode.
            let path = Path::new(&folder).join(name);
            let content = read_file(&path, false)?;
            key_in(&content).ok_or_else(|| format!("the credential {name} {NO_KEY}"))
        }
        KeySource::KernelKeyring(name) => {
            let content = keyring(name)?;
            key_in(&content).ok_or_else(|| format!("the key {name} in the kernel's keyring {NO_KEY}"))
        }
        KeySource::SecretId => secret_id(auth),
    }
}

const NO_KEY: &str = "does not hold 32 bytes, as they are, in base64 or in hex";

fn secret_id(auth: &AuthSettings) -> Result<Material, String> {
    let AuthSettings::AppRole { secret_id: SecretIdSource::Plain(secret_id), .. } = auth else {
        return Err(
            "a key can be derived from a secret_id only, and none is set (one that is wrapped can be \
                    unwrapped once, which would be too early here)"
                .to_owned(),
        );
    };
    let content = match secret_id {
        Credential::Value(value) => Zeroizing::new(value.expose().as_bytes().to_vec()),
        Credential::File(path) => read_file(path, false)?,
        _ => return Err("the secret_id comes from where it cannot be read".to_owned()),
    };
    let trimmed = content.trim_ascii();
    // Vault's own have 36 characters, 122 bits of them random.
    if trimmed.len() < KEY {
        return Err("the secret_id is too short to derive a key from".to_owned());
    }
    Ok(Zeroizing::new(trimmed.to_vec()))
}

fn read_file(path: &Path, check: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(say)?;
    if check {
        let found = file.metadata().map_err(say)?;
        check_key_file(path, &found).map_err(|unfit| unfit.to_string())?;
    }
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST));
    file.take(LONGEST as u64).read_to_end(&mut content).map_err(say)?;
    Ok(content)
}

fn key_in(content: &[u8]) -> Option<Material> {
    if content.len() == KEY {
        return Some(Zeroizing::new(content.to_vec()));
    }
    let text = content.trim_ascii();
    let decoded = match text.len() {
        64 => hex(text),
        43 | 44 => [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
            .into_iter()
            .find_map(|engine| engine.decode(text).ok()),
        _ => None,
    };
    decoded.map(Zeroizing::new).filter(|key| key.len() == KEY)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(target_os = "linux")]
fn keyring(name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    use linux_keyutils::{KeyRing, KeyRingIdentifier};
    let mut last = String::new();
    for ring in [KeyRingIdentifier::Session, KeyRingIdentifier::User, KeyRingIdentifier::UserSession] {
        let found = KeyRing::from_special_id(ring, false).and_then(|ring| ring.search(name));
        match found.and_then(|key| key.read_to_vec()) {
            Ok(key) => return Ok(Zeroizing::new(key)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("there is no key {name} that can be read in the kernel's keyring ({last})"))
}

#[cfg(not(target_os = "linux"))]
fn keyring(_: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    Err("there is a kernel keyring on Linux only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_in_base64_and_in_hex() {
        let key: Vec<u8> = (200..232).collect();
        let hex = "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7".to_owned();
        let spellings = [
            key.clone(),
            hex.clone().into_bytes(),
            format!("{}\n", hex.to_uppercase()).into_bytes(),
            STANDARD.encode(&key).into_bytes(),
            format!(" {}\n", URL_SAFE_NO_PAD.encode(&key)).into_bytes(),
        ];
        for spelling in spellings {
            assert_eq!(key_in(&spelling).unwrap().as_slice(), key, "{spelling:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for content in ["", "short", &"g".repeat(64), &"a".repeat(31), &"=".repeat(44), &"A".repeat(45)] {
            assert!(key_in(content.as_bytes()).is_none(), "{content}");
        }
    }
}
