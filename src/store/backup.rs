//! A copy of a SQLite database while others work on it. PostgreSQL has better means of its own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Store, StoreError};

/// Why there is no copy. None is left half-way.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path} cannot be written: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Copies what is committed now, in one piece, into a file of its owner's alone that was not there;
    /// answers its size. Those who write meanwhile wait for nothing. The copy grows under another name: a
    /// file of this name is a whole copy, on the disk.
    ///
    /// # Errors
    /// [`BackupError`], for instance because the file is there, or the disk is full.
    pub async fn copy_to(&self, path: &Path) -> Result<u64, BackupError> {
        let refused = |path: &Path| {
            let path = path.display().to_string();
            move |source| BackupError::File { path, source }
        };
        // SQLite takes the path as text.
        let Some(name) = path.to_str() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8");
            return Err(refused(path)(source));
        };
        is_free(path).map_err(refused(path))?;
        let partial = format!("{name}.partial");
        let growing = Path::new(&partial);
        // SQLite fills an empty file; made by itself, it would be for everybody to read.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(growing)
            .map_err(refused(growing))?;
        let copied = match self.vacuum_into(partial.clone()).await {
            Ok(()) => finish(growing, path).map_err(refused(path)),
            Err(error) => Err(error.into()),
        };
        if copied.is_err() {
            // It is none.
            let _ = std::fs::remove_file(growing);
        }
        copied
    }

    async fn vacuum_into(&self, path: String) -> Result<(), StoreError> {
        let copy =
            Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [path.into()]);
        self.read.execute_raw(copy).await?;
        Ok(())
    }
}

fn is_free(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// SQLite does not wait until a copy is on the disk.
fn finish(partial: &Path, path: &Path) -> io::Result<u64> {
    let file = File::open(partial)?;
    file.sync_all()?;
    is_free(path)?;
    std::fs::rename(partial, path)?;
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[tokio::test]
    async fn a_copy_bears_its_name_only_once_it_is_whole_and_leaves_no_other_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}/x.db?mode=rwc", directory.path().display());
        let store = Store::open(&url.into()).await.expect("open");
        store.migrate().await.expect("a schema");
        let copy = directory.path().join("copy.db");
        let partial = directory.path().join("copy.db.partial");

        // As one that was killed left it: told by its name, and nothing is overwritten.
        std::fs::write(&partial, "half of one").expect("written");
        let refused = store.copy_to(&copy).await.expect_err("refused");
        assert!(refused.to_string().contains("copy.db.partial"), "{refused}");
        assert!(!copy.exists());
        std::fs::remove_file(&partial).expect("removed");

        let bytes = store.copy_to(&copy).await.expect("copied");
        assert_eq!(std::fs::metadata(&copy).expect("a file").len(), bytes);
        assert!(!partial.exists());
        let again = store.copy_to(&copy).await;
        assert!(again.is_err() && !partial.exists(), "{again:?}");

        let odd = directory.path().join(OsStr::from_bytes(b"odd-\xff.db"));
        let refused = store.copy_to(&odd).await.expect_err("refused");
        assert!(refused.to_string().contains("not UTF-8"), "{refused}");
    }
}
