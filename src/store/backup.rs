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
    /// answers its size. Those who write meanwhile wait for nothing.
    ///
    /// # Errors
    /// [`BackupError`], for instance because the file is there, or the disk is full.
    pub async fn copy_to(&self, path: &Path) -> Result<u64, BackupError> {
        let refused = |source| BackupError::File {
            path: path.display().to_string(),
            source,
        };
        // SQLite fills an empty file; made by itself, it would be for everybody to read.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(refused)?;
        let copied = match self.vacuum_into(path).await {
            Ok(()) => durable(path).map_err(refused),
            Err(error) => Err(error.into()),
        };
        if copied.is_err() {
            // It is none.
            let _ = std::fs::remove_file(path);
        }
        copied
    }

    async fn vacuum_into(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_string_lossy().into_owned();
        let copy =
            Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [path.into()]);
        self.read.execute_raw(copy).await?;
        Ok(())
    }
}

/// SQLite does not wait until a copy is on the disk.
fn durable(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    file.sync_all()?;
    if let Some(directory) = path.parent().filter(|parent| *parent != Path::new("")) {
        File::open(directory)?.sync_all()?;
    }
    Ok(file.metadata()?.len())
}
