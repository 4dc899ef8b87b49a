//! What stands in for the journal in builds without the feature `disk`: nothing is ever written.

use gds_vault::SecretString;

use super::DiskStatus;
use crate::cache::Entry;
use crate::error::Error;
use crate::secret_read::CachedSecret;

/// The way to the copy on disk, of which there is none.
#[derive(Debug, Clone)]
pub(crate) struct Journal;

#[allow(clippy::unused_self, clippy::unused_async, reason = "as the journal that is not absent")]
impl Journal {
    pub(crate) fn none() -> Self {
        Self
    }

    #[inline]
    pub(crate) fn put(&self, _: &Entry<CachedSecret>) {}

    #[inline]
    pub(crate) fn delete(&self, _: &str) {}

    #[inline]
    pub(crate) fn delete_where(&self, _: impl Fn(&str, Option<&str>, Option<u64>) -> bool) {}

    #[inline]
    pub(crate) fn clear(&self) {}

    #[inline]
    pub(crate) fn logged_out(&self) {}

    #[inline]
    pub(crate) fn rejected(&self, _: Option<u64>) {}

    #[inline]
    pub(crate) fn rekey(&self, _: &SecretString) {}

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) async fn close(&self) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) fn status(&self) -> Option<DiskStatus> {
        None
    }
}
