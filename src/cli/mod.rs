//! The commands: their flags, help texts and exit codes.
//!
//! Owns what is typed and printed; each command's work lies in the module it calls. Exit codes: 0
//! done, 1 failed, 2 wrong flags or settings.

mod backup;
mod daemon;
mod demo;
mod doctor;
mod keys;
mod migrate;
mod rotate;
mod serve;
mod service_manager;
mod signals;
mod simulator;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use backup::BackupArgs;
pub use demo::DemoArgs;
pub use serve::ServeArgs;
pub use simulator::SimulatorArgs;
pub use token::TokenArgs;

use crate::health::observability;

/// Keeps coaches' Google and Outlook calendars in step with their appointments.
///
/// Settings come from the environment and from `.env` in the working directory; `serve --help`
/// lists them all. To look around without any, run `demo`.
#[derive(Debug, Parser)]
#[command(name = "calendar-integration", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// The command that was given; without one, `serve`.
    pub fn into_command(self) -> Command {
        self.command
            .unwrap_or_else(|| Command::Serve(ServeArgs::default()))
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon (the default command)
    ///
    /// Migrates the database, starts the actors, then HTTP. SIGTERM or SIGINT drains within
    /// SHUTDOWN_DEADLINE; a second signal ends at once.
    Serve(ServeArgs),
    /// Run the daemon against simulated providers, without any settings
    ///
    /// Uses a throw-away SQLite file, simulated Google and Microsoft on another loopback port, and
    /// a demo coach with appointments, and prints a sign-in link to the dashboard. With --changes,
    /// replays a file of changes through the API instead, waits, compares every calendar with what
    /// should be in it, and exits with 1 if anything differs.
    Demo(Box<DemoArgs>),
    /// Run the simulated Google and Microsoft alone
    Simulator(SimulatorArgs),
    /// Change or show the database schema
    ///
    /// `serve` does `migrate up` by itself.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Print what to watch the daemon with
    ///
    /// The metrics themselves are at /metrics of a running daemon, for the role admin.
    #[command(subcommand)]
    Observability(ObservabilityCommand),
    /// Copy a SQLite database while the daemon serves
    ///
    /// The copy is whole and for its owner alone. To restore: stop the daemon, remove the database file with
    /// its -wal and -shm, put the copy in its place, start. A PostgreSQL has its own means (pg_dump).
    Backup(BackupArgs),
    /// Print a systemd unit for this program, where it lies now
    ///
    /// Type=notify: ready when the API serves, fed as a watchdog while nobody is stuck. Hardened; the first
    /// lines say where it looks for keys and settings.
    SystemdUnit,
    /// Make and change the keys that stored tokens are encrypted with
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Sign an API token with AUTH_JWT_SECRET
    ///
    /// Prints the token alone. It carries AUTH_ISSUER and AUTH_AUDIENCE where they are set.
    Token(TokenArgs),
    /// Check the settings and what they lead to, and say what to change
    ///
    /// Looks at settings, database, keys, redirect URIs and, where they can be reached, at each
    /// provider's client credentials.
    Doctor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum MigrateCommand {
    /// Bring the schema up to date
    Up,
    /// Take back the last step; its data is lost
    Down {
        /// How many steps to take back
        #[arg(long, value_name = "N", default_value_t = 1)]
        steps: u32,
    },
    /// Show which steps are applied
    Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ObservabilityCommand {
    /// Print a dashboard to import into Grafana (JSON)
    Dashboard,
    /// Print alert rules for Prometheus (YAML)
    Alerts,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print a new key
    ///
    /// Append it to TOKEN_ENCRYPTION_KEYS, after a comma, and restart every node, so that all can
    /// read it; then move it to the front, restart, run `keys rotate`, and take the old key away.
    /// With one node, put it in front at once.
    Generate {
        /// The name of the key: letters, digits, `-` and `_` [default: made from date and chance]
        #[arg(long)]
        id: Option<String>,
    },
    /// Encrypt every stored token anew, under the first of TOKEN_ENCRYPTION_KEYS
    ///
    /// The daemon may go on running, if it knows that key.
    Rotate,
}

/// Carries out `command`.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => daemon::run(args).await,
        Command::Demo(args) => demo::run(*args).await,
        Command::Simulator(args) => simulator::run(args).await,
        Command::Migrate(command) => migrate::run(command).await,
        Command::Openapi => print_document(crate::api::document()),
        Command::Observability(ObservabilityCommand::Dashboard) => {
            print_document(observability::DASHBOARD)
        }
        Command::Observability(ObservabilityCommand::Alerts) => {
            print_document(observability::ALERTS)
        }
        Command::Backup(args) => backup::run(args).await,
        Command::SystemdUnit => service_manager::print_unit(),
        Command::Keys(KeysCommand::Generate { id }) => keys::generate(id),
        Command::Keys(KeysCommand::Rotate) => rotate::run().await,
        Command::Token(args) => token::run(&args),
        Command::Doctor => doctor::run().await,
    }
}

#[expect(clippy::print_stdout, reason = "printing the document is the command")]
fn print_document(text: &str) -> anyhow::Result<ExitCode> {
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("calendar-integration").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(Cli::into_command)
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        assert!(matches!(parse(""), Ok(Command::Serve(_))));
    }

    #[test]
    fn every_command_of_the_contract_is_taken() {
        for line in [
            "serve",
            "demo",
            "demo --changes file.jsonl --faults --seed 7",
            "demo --changes f --against http://x --simulator http://y --jwt-secret-file z",
            "demo --latency 200",
            "simulator --bind-address 127.0.0.1:8080",
            "migrate up",
            "migrate down",
            "migrate status",
            "openapi",
            "observability dashboard",
            "observability alerts",
            "backup copy.db",
            "systemd-unit",
            "keys generate",
            "keys rotate",
            "token --role admin",
            "token --role coach --sub 67e55044-10b1-426f-9247-bb680e5fe0c8 --ttl 90s",
            "doctor",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "demo --faults",
            "demo --changes f --against http://x",
            "demo --changes f --latency 5",
            "token",
            "token --role root",
            "token --role coach",
            "token --role admin --ttl 1d",
            "migrate sideways",
            "observability",
            "backup",
            "serve --no-such-setting 1",
        ] {
            assert_eq!(
                parse(line).map_err(|e| e.exit_code()).err(),
                Some(2),
                "{line}"
            );
        }
    }
}
