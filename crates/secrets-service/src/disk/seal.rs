//! Keys, and what they seal. Every file has a salt of its own, so that nothing sealed for one fits another.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes that sealing adds: nonce before, tag after.
pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;

/// Bytes of a check: 128 bits of HMAC-SHA256.
pub(crate) const CHECK: usize = 16;
pub(crate) type Check = [u8; CHECK];

pub(crate) const SALT: usize = 32;

/// What keys are derived from. At least 128 random bits, or it would have to be stretched.
pub(crate) type Material = Zeroizing<Vec<u8>>;

/// The keys of one file.
pub(crate) struct Keys {
    cipher: XChaCha20Poly1305,
    checks: Zeroizing<[u8; 64]>,
}

/// What a check is about: the same bytes as something else give another one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About {
    /// Whether the key is the one that the file was made with.
    Key = 1,
    /// Whose file it is.
    Owner = 2,
    /// How much has been written.
    Progress = 3,
    /// How long a batch is.
    Length = 4,
}

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

impl Keys {
    pub(crate) fn derive(material: &[u8], salt: &[u8; SALT]) -> Self {
        let derived = Hkdf::<Sha256>::new(Some(salt), material);
        let mut sealing = Zeroizing::new([0; 32]);
        let mut checks = Zeroizing::new([0; 64]);
        // These fail only beyond 8,160 bytes.
        let _ = derived.expand(b"secrets-service disk cache 1: sealing", sealing.as_mut_slice());
        let _ = derived.expand(b"secrets-service disk cache 1: checks", checks.as_mut_slice());
        Self { cipher: XChaCha20Poly1305::new((&*sealing).into()), checks }
    }

    pub(crate) fn check(&self, about: About, parts: &[&[u8]]) -> Check {
        let mut check = [0; CHECK];
        check.copy_from_slice(&self.mac(about, parts).finalize().into_bytes()[..CHECK]);
        check
    }

    /// In constant time.
    pub(crate) fn verify(&self, about: About, parts: &[&[u8]], check: &Check) -> bool {
        self.mac(about, parts).verify_truncated_left(check).is_ok()
    }

    fn mac(&self, about: About, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*self.checks).into());
        mac.update(&[about as u8]);
        for part in parts {
            // Lengths, so that no two lists of parts are alike.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    /// Encrypts in place, so that nothing of the plain text stays behind; the nonce is returned.
    pub(crate) fn seal(&self, bound_to: &[u8], text: &mut Vec<u8>) -> Result<[u8; NONCE], NoRandomness> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        // Fails only beyond 256 GiB.
        self.cipher
            .encrypt_in_place(&XNonce::from(nonce), bound_to, text)
            .map_err(|_| NoRandomness)
            .map(|()| nonce)
    }

    /// `None`: not sealed by these keys for this place, or changed since.
    pub(crate) fn open(
        &self,
        bound_to: &[u8],
        nonce: [u8; NONCE],
        sealed: Vec<u8>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(sealed);
        self.cipher.decrypt_in_place(&XNonce::from(nonce), bound_to, &mut *text).ok()?;
        Some(text)
    }
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_only_by_the_same_keys_for_the_same_place() {
        let keys = Keys::derive(b"material", &[1; SALT]);
        let mut text = b"the secret".to_vec();
        let nonce = keys.seal(b"here", &mut text).unwrap();
        assert!(!text.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open(b"here", nonce, text.clone()).unwrap().as_slice(), b"the secret");
        assert!(keys.open(b"there", nonce, text.clone()).is_none());
        assert!(Keys::derive(b"material", &[2; SALT]).open(b"here", nonce, text.clone()).is_none());
        assert!(Keys::derive(b"other", &[1; SALT]).open(b"here", nonce, text.clone()).is_none());
        text[0] ^= 1;
        assert!(keys.open(b"here", nonce, text).is_none());
        assert!(keys.open(b"here", nonce, vec![0; TAG - 1]).is_none());
    }

    #[test]
    fn a_check_is_about_one_thing() {
        let keys = Keys::derive(b"material", &[1; SALT]);
        let check = keys.check(About::Key, &[b"ab", b"c"]);
        assert!(keys.verify(About::Key, &[b"ab", b"c"], &check));
        assert!(!keys.verify(About::Owner, &[b"ab", b"c"], &check));
        assert!(!keys.verify(About::Key, &[b"a", b"bc"], &check));
    }
}
