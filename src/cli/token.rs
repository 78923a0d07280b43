//! `token`: an API token for an operator or a test.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use secrecy::ExposeSecret;

use crate::config::{Section, SigningConfig, Sources, duration};
use crate::domain::SystemClock;
use crate::security::api_token::{Caller, Role, Signer};

/// The subject of tokens that name none.
const DEFAULT_SUBJECT: &str = "operator";

const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What the bearer may do
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str))
        .try_map(|text| text.parse::<Role>()))]
    pub role: Role,
    /// Who the bearer is: for a coach the coach's UUID, else a name for the log [default: operator]
    #[arg(long, value_name = "UUID", required_if_eq("role", "coach"))]
    pub sub: Option<String>,
    /// How long the token is good for, such as 90s, 1h or 720h; at most 8784h
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    pub ttl: Duration,
}

#[expect(clippy::print_stdout, reason = "printing the token is the command")]
pub(super) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let config = SigningConfig::load(&Sources::of_process(BTreeMap::new()))?;
    let subject = args.sub.as_deref().unwrap_or(DEFAULT_SUBJECT);
    let caller = Caller::new(args.role, subject)?;
    let token = Signer::new(&config.secret, config.realm).sign(
        &caller,
        args.ttl,
        SystemClock::shared().now(),
    );
    println!("{}", token.expose_secret());
    Ok(ExitCode::SUCCESS)
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .filter(|ttl| (Duration::from_secs(1)..=MAX_TTL).contains(ttl))
        .ok_or_else(|| format!("allowed is 1s to {}", duration::show(MAX_TTL)))
}
