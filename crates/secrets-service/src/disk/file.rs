//! The file itself: opened, appended to, replaced as a whole.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::image::{self, Chain, Contents, Flaw, PROGRESS_AT};
use super::place::{self, Unfit};
use super::seal::Material;

/// A file that is ours to write. The lock goes with it.
pub(crate) struct CacheFile {
    path: PathBuf,
    file: File,
    chain: Chain,
    material: Material,
    owner: Vec<u8>,
}

/// What came of opening a file.
pub(crate) struct Opened {
    pub(crate) file: CacheFile,
    pub(crate) contents: Contents,
    /// What was there, and why it was not used.
    pub(crate) flaw: Option<Flaw>,
}

/// The file cannot be had at all: there will be no copy on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl CacheFile {
    /// Reads what is there, if it can be used; else puts it aside and begins anew.
    pub(crate) fn open(path: &Path, material: Material, owner: Vec<u8>) -> Result<Opened, Unusable> {
        place::check_folder(path)?;
        let Some(file) = place::open_locked(path)? else {
            let file = Self::begin(path, material, owner)?;
            return Ok(Opened { file, contents: Contents::default(), flaw: None });
        };
        if file.metadata()?.len() == 0 {
            let file = Self::begin(path, material, owner)?;
            return Ok(Opened { file, contents: Contents::default(), flaw: None });
        }
        match image::read(&mut BufReader::new(&file), &material, &owner) {
            Ok((contents, chain)) => {
                // Half a batch at the end is of no use, and in the way.
                if file.metadata()?.len() > chain.length() {
                    file.set_len(chain.length())?;
                }
                let file = Self { path: path.to_owned(), file, chain, material, owner };
                Ok(Opened { file, contents, flaw: None })
            }
            Err(flaw) => {
                std::fs::rename(path, place::aside(path))?;
                let file = Self::begin(path, material, owner)?;
                Ok(Opened { file, contents: Contents::default(), flaw: Some(flaw) })
            }
        }
    }

    /// An empty file in place of what is there.
    fn begin(path: &Path, material: Material, owner: Vec<u8>) -> io::Result<Self> {
        Self::create(path, material, owner, std::iter::empty())
    }

    /// A file with these batches in place of what is there: all of it, or what is there stays.
    fn create(
        path: &Path,
        material: Material,
        owner: Vec<u8>,
        batches: impl Iterator<Item = Zeroizing<Vec<u8>>>,
    ) -> io::Result<Self> {
        let (header, mut chain) = Chain::begin(&material, &owner).map_err(io::Error::other)?;
        let (beside, mut file) = place::create_beside(path)?;
        let written = (|| {
            file.write_all(&header)?;
            for mut records in batches {
                let head = chain.seal(&mut records)?;
                file.write_all(&head)?;
                file.write_all(&records)?;
            }
            file.write_all_at(&chain.progress(), PROGRESS_AT as u64)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        })();
        if let Err(error) = written {
            // Best effort: the next one does away with it, too.
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        place::sync_folder_of(path)?;
        Ok(Self { path: path.to_owned(), file, chain, material, owner })
    }

    /// Adds batches; they are on disk for good when this returns. After an error the file must be replaced.
    pub(crate) fn append(&mut self, batches: Vec<Zeroizing<Vec<u8>>>) -> io::Result<()> {
        for mut records in batches {
            let at = self.chain.length();
            let mut batch = self.chain.seal(&mut records)?;
            batch.extend_from_slice(&records);
            self.file.write_all_at(&batch, at)?;
        }
        self.file.sync_data()?;
        // Needs no waiting: it may only say too little.
        self.file.write_all_at(&self.chain.progress(), PROGRESS_AT as u64)
    }

    /// The whole file anew, with a new salt.
    pub(crate) fn replace(&mut self, batches: impl Iterator<Item = Zeroizing<Vec<u8>>>) -> io::Result<()> {
        *self = Self::create(&self.path, self.material.clone(), self.owner.clone(), batches)?;
        Ok(())
    }

    /// Another key from the next [`replace`](Self::replace) on.
    pub(crate) fn rekey(&mut self, material: Material) {
        self.material = material;
    }

    /// Does away with the file: what it holds must not be read again. The lock is kept, for what it is worth.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Not allowed to remove it, perhaps still to empty it.
                self.file.set_len(0)?;
                self.file.sync_all()
            }
            Ok(()) | Err(_) => place::sync_folder_of(&self.path),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.chain.length()
    }
}
