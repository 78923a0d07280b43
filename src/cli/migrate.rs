//! `migrate`: the schema alone.

use std::process::ExitCode;

use super::MigrateCommand;
use crate::config::{DatabaseConfig, Section, Sources};
use crate::store::Store;

#[expect(
    clippy::print_stdout,
    reason = "the state of the schema is what was asked for"
)]
pub(super) async fn run(command: MigrateCommand) -> anyhow::Result<ExitCode> {
    let database = DatabaseConfig::load(&Sources::of_process([].into()))?;
    let store = match command {
        MigrateCommand::Status => Store::open_beside(&database.url).await?,
        // On SQLite the daemon must not run meanwhile.
        MigrateCommand::Up | MigrateCommand::Down { .. } => Store::open(&database.url).await?,
    };
    match command {
        MigrateCommand::Up => store.migrate().await?,
        MigrateCommand::Down { steps } => store.migrate_down(Some(steps)).await?,
        MigrateCommand::Status => {}
    }
    let schema = store.schema().await?;
    for step in &schema.applied {
        println!("applied  {step}");
    }
    for step in &schema.pending {
        println!("pending  {step}");
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
