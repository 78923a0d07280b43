//! `backup`: a copy of a SQLite database, beside a daemon that goes on working.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{DatabaseConfig, DatabaseKind, Section, Sources};
use crate::store::Store;

/// Where the copy goes.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The copy; must not be there yet
    file: PathBuf,
}

#[expect(clippy::print_stdout, reason = "the outcome is what was asked for")]
pub(super) async fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let database = DatabaseConfig::load(&Sources::of_process([].into()))?;
    anyhow::ensure!(
        database.kind == DatabaseKind::Sqlite,
        "DATABASE_URL is a PostgreSQL: back it up with pg_dump --format=custom, or with its own \
         continuous backups"
    );
    anyhow::ensure!(
        !Store::is_yet_to_be_made(&database.url),
        "the SQLite file that DATABASE_URL names is not there"
    );
    let store = Store::open_beside(&database.url).await?;
    let copied = store.copy_to(&args.file).await;
    store.close().await;
    let bytes = copied?;
    println!(
        "{}: {bytes} bytes. It holds client details and sealed tokens; the keys are not in it.",
        args.file.display()
    );
    Ok(ExitCode::SUCCESS)
}
