//! Puts a text into a file, all of it or nothing, and at no moment readable for more people than in the end.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use super::spec::TemplateSpec;
use super::{Content, LARGEST};

/// Whether there is something new to read in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Changed,
    /// Content, mode and owner are what they were.
    Unchanged,
}

/// Writes a file beside it, readable for nobody else until owner and mode are right, and puts that in its place. After
/// a crash there is the old file or the new one.
pub(super) fn write(spec: &TemplateSpec, content: &Content) -> Result<Written, String> {
    if is_there(spec, content) {
        return Ok(Written::Unchanged);
    }
    replace(spec, content)
        .map_err(|error| format!("cannot write {}: {error}", spec.destination.display()))?;
    Ok(Written::Changed)
}

fn replace(spec: &TemplateSpec, content: &Content) -> io::Result<()> {
    let name = spec.destination.file_name().unwrap_or_default().to_string_lossy();
    // Made with 0600, whatever the umask. Removed when dropped.
    let mut file = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(spec.folder())?;
    file.write_all(content)?;
    if spec.owner.is_some() || spec.group.is_some() {
        // Before the mode: it was not meant for whoever owns the file so far.
        fchown(file.as_file(), spec.owner.map(Into::into), spec.group.map(Into::into))?;
    }
    file.as_file().set_permissions(Permissions::from_mode(spec.mode))?;
    file.as_file().sync_all()?;
    file.persist(&spec.destination).map_err(|error| error.error)?;
    // So that the new name outlives a crash as well. Not every file system can do that for a folder.
    let _ = File::open(spec.folder()).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Whether the file is as it should be already. A link is not: it is replaced, and what it leads to left alone.
fn is_there(spec: &TemplateSpec, content: &Content) -> bool {
    let Ok(metadata) = fs::symlink_metadata(&spec.destination) else { return false };
    let as_it_should_be = metadata.is_file()
        && metadata.len() == content.len() as u64
        && metadata.permissions().mode() & 0o7777 == spec.mode
        && spec.owner.is_none_or(|owner| owner.as_raw() == metadata.uid())
        && spec.group.is_none_or(|group| group.as_raw() == metadata.gid());
    let same_content = || {
        let mut there = Content::new(Vec::with_capacity(content.len() + 1));
        let file = File::open(&spec.destination);
        file.and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut there)).is_ok()
            && there == *content
    };
    as_it_should_be && same_content()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(folder: &std::path::Path) -> TemplateSpec {
        TemplateSpec::new("unused", folder.join("out")).unwrap()
    }

    fn content(text: &str) -> Content {
        Content::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_file_is_written_once_with_its_mode_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path());
        assert_eq!(write(&spec, &content("one")), Ok(Written::Changed));
        let first = fs::metadata(&spec.destination).unwrap();
        assert_eq!(first.permissions().mode() & 0o7777, 0o600);
        assert_eq!(write(&spec, &content("one")), Ok(Written::Unchanged));
        assert_eq!(fs::metadata(&spec.destination).unwrap().ino(), first.ino());
        spec.mode = 0o640;
        assert_eq!(write(&spec, &content("one")), Ok(Written::Changed));
        assert_eq!(fs::metadata(&spec.destination).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(write(&spec, &content("two")), Ok(Written::Changed));
        assert_eq!(fs::read(&spec.destination).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path());
        let other = folder.path().join("other");
        fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &spec.destination).unwrap();
        assert_eq!(write(&spec, &content("theirs")), Ok(Written::Changed));
        assert!(fs::symlink_metadata(&spec.destination).unwrap().is_file());
        assert_eq!(fs::read(&other).unwrap(), b"theirs");
    }

    /// While a file is written again and again, whoever looks sees one of the contents, whole, and at no moment a mode
    /// that lets more people read than in the end.
    #[test]
    fn row25_a_reader_never_sees_a_part_or_a_wider_mode() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path());
        spec.mode = 0o640;
        let whole = [content(&"a".repeat(3)), content(&"b".repeat(200_000)), content("")];
        write(&spec, &whole[0]).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let looks = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0_u32;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let seen = Content::new(fs::read(&spec.destination).expect("the file is always there"));
                    assert!(whole.contains(&seen), "a part: {} bytes", seen.len());
                    for entry in fs::read_dir(folder.path()).unwrap() {
                        // It may have got its final name in the meantime.
                        let Ok(metadata) = entry.unwrap().metadata() else { continue };
                        let wider = metadata.permissions().mode() & 0o7777 & !spec.mode;
                        assert_eq!(wider, 0, "{:o}", metadata.permissions().mode());
                    }
                    looks += 1;
                }
                looks
            });
            for n in 0..300 {
                assert_eq!(write(&spec, &whole[(n + 1) % 3]), Ok(Written::Changed));
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            reader.join().unwrap()
        });
        assert!(looks > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path());
        spec.destination = folder.path().join("nothing/here");
        let error = write(&spec, &content("canary")).unwrap_err();
        assert!(error.contains("nothing/here") && !error.contains("canary"), "{error}");
    }
}
