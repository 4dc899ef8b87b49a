//! How a file is laid out, and what reading one can come to.
//!
//! ```text
//!   0  magic            8   "SSCACHE\n"
//!   8  format           2   1
//!  10  nothing          6   zeros
//!  16  salt            32   random, new with each file: every key is derived with it
//!  48  key check       16   of bytes 0 to 47
//!  64  owner check     16   of bytes 0 to 47 and whose cache it is
//!  80  progress        32   batches, length of the file, check of both: what must be there
//! 112  batches              length 4, check of it 16, nonce 24, sealed records, tag 16
//! ```
//!
//! Each batch is bound to its number and to the tag of the batch before it: none can be changed, left out, repeated
//! or moved. `progress` is written after its batch is on disk for good, so fewer batches than it says means that
//! someone has cut the file off. More than it says, and a part of one at the end, is what a process leaves that was
//! killed in the middle of writing.

use std::collections::HashMap;
use std::io::{self, Read};

use gds_vault::KnownMounts;
use zeroize::Zeroizing;

use super::record::{Decoder, Record, StoredLogin, StoredSecret, WallTime};
use super::seal::{About, CHECK, Check, Keys, NONCE, NoRandomness, SALT, TAG, fill};

const MAGIC: &[u8; 8] = b"SSCACHE\n";
const FORMAT: u16 = 1;

pub(crate) const HEADER: usize = 112;
const SALT_AT: usize = 16;
const KEY_CHECK_AT: usize = 48;
const OWNER_CHECK_AT: usize = 64;
/// Where the progress stands.
pub(crate) const PROGRESS_AT: usize = 80;
pub(crate) const PROGRESS: usize = HEADER - PROGRESS_AT;

const BATCH_HEAD: usize = 4 + CHECK + NONCE;

/// No batch is longer: a secret of the largest size and a little. What claims to be is refused before memory is
/// taken for it.
const LONGEST_BATCH: usize = super::record::LONGEST_BODY + (2 << 20);

/// Why a file is not used. Each is told in one line, and then there is an empty cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it is not a cache of this program")]
    NotOurs,
    #[error("its format, {0}, is that of a newer version of this program (this one knows {FORMAT})")]
    Newer(u16),
    #[error("it was made with another key")]
    OtherKey,
    #[error("it belongs to another login, namespace or Vault")]
    Foreign,
    #[error("it has been changed or damaged ({0})")]
    Damaged(&'static str),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// What a file comes to.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) secrets: HashMap<String, StoredSecret>,
    pub(crate) login: Option<StoredLogin>,
    /// Vault has called the last login dead.
    pub(crate) rejected: bool,
    pub(crate) mounts: KnownMounts,
    /// The latest moment at which something was written.
    pub(crate) written_at: WallTime,
}

impl Contents {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Put(secret) => drop(self.secrets.insert(secret.key.clone(), secret)),
            Record::Delete(key) => drop(self.secrets.remove(&key)),
            Record::Clear => self.secrets.clear(),
            Record::Login(login) => (self.login, self.rejected) = (Some(login), false),
            Record::NoLogin { rejected } => (self.login, self.rejected) = (None, rejected),
            Record::Mounts(known) => self.mounts = known,
            Record::Written(at) => self.written_at = self.written_at.max(at),
        }
    }
}

/// Where the next batch goes, and what it is bound to.
pub(crate) struct Chain {
    pub(crate) keys: Keys,
    batches: u64,
    length: u64,
    last_tag: [u8; TAG],
}

impl Chain {
    /// A new file's header, and its chain.
    pub(crate) fn begin(material: &[u8], owner: &[u8]) -> Result<(Vec<u8>, Self), NoRandomness> {
        let mut salt = [0; SALT];
        fill(&mut salt)?;
        let keys = Keys::derive(material, &salt);
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&[0; SALT_AT - 10]);
        header.extend_from_slice(&salt);
        let key_check = keys.check(About::Key, &[&header]);
        let owner_check = keys.check(About::Owner, &[&header, owner]);
        header.extend_from_slice(&key_check);
        header.extend_from_slice(&owner_check);
        let chain = Self { keys, batches: 0, length: HEADER as u64, last_tag: [0; TAG] };
        header.extend_from_slice(&chain.progress());
        Ok((header, chain))
    }

    /// How long the file is, up to the end of the last batch.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What is to be written at [`PROGRESS_AT`] once all batches so far are on disk.
    pub(crate) fn progress(&self) -> [u8; PROGRESS] {
        let numbers = [self.batches.to_le_bytes(), self.length.to_le_bytes()].concat();
        let check = self.keys.check(About::Progress, &[&numbers]);
        let mut progress = [0; PROGRESS];
        progress[..16].copy_from_slice(&numbers);
        progress[16..].copy_from_slice(&check);
        progress
    }

    /// The head of the next batch and the batch, sealed. The chain goes on from there: if it cannot be written, the
    /// file is of no more use.
    pub(crate) fn seal(&mut self, records: &mut Zeroizing<Vec<u8>>) -> io::Result<Vec<u8>> {
        let bound_to = self.bound_to();
        let nonce = self.keys.seal(&bound_to, records).map_err(io::Error::other)?;
        let length = u32::try_from(records.len())
            .ok()
            .filter(|_| records.len() <= LONGEST_BATCH)
            .ok_or_else(|| io::Error::other("a batch is too long"))?
            .to_le_bytes();
        let mut head = Vec::with_capacity(BATCH_HEAD);
        head.extend_from_slice(&length);
        head.extend_from_slice(&self.keys.check(About::Length, &[&bound_to, &length]));
        head.extend_from_slice(&nonce);
        self.advance(records);
        Ok(head)
    }

    fn advance(&mut self, sealed: &[u8]) {
        self.batches += 1;
        self.length += (BATCH_HEAD + sealed.len()) as u64;
        if let Some((_, tag)) = sealed.split_last_chunk() {
            self.last_tag = *tag;
        }
    }

    fn bound_to(&self) -> [u8; 10 + TAG] {
        let mut bound_to = [0; 10 + TAG];
        bound_to[..2].copy_from_slice(&FORMAT.to_le_bytes());
        bound_to[2..10].copy_from_slice(&self.batches.to_le_bytes());
        bound_to[10..].copy_from_slice(&self.last_tag);
        bound_to
    }
}

/// Reads a whole file.
pub(crate) fn read(file: &mut impl Read, material: &[u8], owner: &[u8]) -> Result<(Contents, Chain), Flaw> {
    let mut header = [0; HEADER];
    let got = read_up_to(file, &mut header)?;
    let header = header.get(..got).unwrap_or_default();
    if header.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(Flaw::NotOurs);
    }
    match header.get(8..10).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes) {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => return Err(Flaw::Newer(format)),
        _ => return Err(Flaw::NotOurs),
    }
    let Ok(header) = <&[u8; HEADER]>::try_from(header) else {
        return Err(Flaw::Damaged("it is shorter than its header"));
    };
    let fixed = &header[..KEY_CHECK_AT];
    let mut salt = [0; SALT];
    salt.copy_from_slice(&fixed[SALT_AT..]);
    let keys = Keys::derive(material, &salt);
    if !keys.verify(About::Key, &[fixed], &check_at(header, KEY_CHECK_AT)) {
        return Err(Flaw::OtherKey);
    }
    if !keys.verify(About::Owner, &[fixed, owner], &check_at(header, OWNER_CHECK_AT)) {
        return Err(Flaw::Foreign);
    }
    let numbers = &header[PROGRESS_AT..PROGRESS_AT + 16];
    if !keys.verify(About::Progress, &[numbers], &check_at(header, PROGRESS_AT + 16)) {
        return Err(Flaw::Damaged("its progress"));
    }
    let mut chain = Chain { keys, batches: 0, length: HEADER as u64, last_tag: [0; TAG] };
    let mut contents = Contents::default();
    while let Some(records) = next_batch(file, &mut chain)? {
        let mut decoder = Decoder::new(&records);
        while let Some(record) = decoder.next().map_err(|_| Flaw::Damaged("a record"))? {
            contents.apply(record);
        }
    }
    let promised = numbers.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    if chain.batches < promised {
        return Err(Flaw::Damaged("its end is missing"));
    }
    Ok((contents, chain))
}

/// `None`: nothing more, or no more than a part of one.
fn next_batch(file: &mut impl Read, chain: &mut Chain) -> Result<Option<Zeroizing<Vec<u8>>>, Flaw> {
    let mut head = [0; BATCH_HEAD];
    let got = read_up_to(file, &mut head)?;
    if got < BATCH_HEAD {
        return Ok(None);
    }
    let bound_to = chain.bound_to();
    let mut length = [0; 4];
    length.copy_from_slice(&head[..4]);
    if !chain.keys.verify(About::Length, &[&bound_to, &length], &check_at(&head, 4)) {
        // What a file system may leave after the power failed: room, and nothing in it.
        return if head == [0; BATCH_HEAD] { Ok(None) } else { Err(Flaw::Damaged("the head of a batch")) };
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_BATCH {
        return Err(Flaw::Damaged("a batch is too long"));
    }
    let mut sealed = vec![0; length];
    if read_up_to(file, &mut sealed)? < length {
        return Ok(None);
    }
    let mut nonce = [0; NONCE];
    nonce.copy_from_slice(&head[4 + CHECK..]);
    chain.advance(&sealed);
    chain.keys.open(&bound_to, nonce, sealed).map(Some).ok_or(Flaw::Damaged("a batch"))
}

fn check_at(bytes: &[u8], at: usize) -> Check {
    let mut check = [0; CHECK];
    check.copy_from_slice(&bytes[at..at + CHECK]);
    check
}

/// As much as there is.
fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

pub(crate) mod fuzzing {
    //! Entry points for fuzzers. They say only what a caller could tell from outside.

    use super::super::record::{Encoder, SecretParts};
    use super::{Chain, Decoder, read};

    const MATERIAL: &[u8] = b"a key for fuzzing, 32 bytes long";

    /// Takes arbitrary bytes apart as records.
    pub fn decode(bytes: &[u8]) -> usize {
        let mut decoder = Decoder::new(bytes);
        let mut records = 0;
        while let Ok(Some(_)) = decoder.next() {
            records += 1;
        }
        records
    }

    /// Opens a file of arbitrary bytes; says whether it was taken for one.
    pub fn open(mut bytes: &[u8]) -> bool {
        read(&mut bytes, MATERIAL, b"owner").is_ok()
    }

    /// Seals arbitrary bytes as if they were records, and opens the file.
    pub fn sealed(bytes: &[u8]) -> Option<bool> {
        let (mut file, mut chain) = Chain::begin(MATERIAL, b"owner").ok()?;
        let mut records = zeroize::Zeroizing::new(bytes.to_vec());
        let head = chain.seal(&mut records).ok()?;
        file.extend_from_slice(&head);
        file.extend_from_slice(&records);
        Some(read(&mut file.as_slice(), MATERIAL, b"owner").is_ok())
    }

    /// Writes a file of a few secrets, has `damage` done to it, and says whether it was used and, if so, whether
    /// everything in it was right.
    pub fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> Option<bool> {
        let (mut file, mut chain) = Chain::begin(MATERIAL, b"owner").ok()?;
        for version in 0..3_u64 {
            let mut encoder = Encoder::new();
            for (key, body) in [("a", "alpha"), ("b", "beta")] {
                encoder.put(&SecretParts {
                    key,
                    fetched_at: version,
                    refresh_from: version,
                    fresh_until: version,
                    stale_until: version,
                    hold: None,
                    body: format!("{body}{version}").as_bytes(),
                });
            }
            let mut records = encoder.finish(16);
            let head = chain.seal(&mut records).ok()?;
            file.extend_from_slice(&head);
            file.extend_from_slice(&records);
        }
        file[super::PROGRESS_AT..super::HEADER].copy_from_slice(&chain.progress());
        damage(&mut file);
        let (contents, _) = read(&mut file.as_slice(), MATERIAL, b"owner").ok()?;
        let right = contents.secrets.len() == 2
            && contents.secrets.values().all(|secret| {
                let body = if secret.key == "a" { "alpha2" } else { "beta2" };
                secret.fetched_at == 2 && secret.body.as_slice() == body.as_bytes()
            });
        Some(right)
    }
}
