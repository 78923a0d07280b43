//! A file of changes, from the booking platform's side to the last calendar.
//!
//! Connects a Google and an Outlook account for every coach in the file, reports all changes in
//! their order as fast as they are taken, waits until the queue is quiet, and compares every
//! calendar with what the contract demands. Works on a stage of its own or against a daemon and a
//! simulator elsewhere, which may be killed and come back meanwhile: every call is repeatable.

mod drain;
mod inspect;
mod send;
mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use secrecy::SecretString;
use url::Url;

use self::summary::Summary;
use super::api::Api;
use super::changes::{self, Change};
use super::control::Control;
use super::oracle::{self, Sharing};
use super::patience::CallError;
use super::progress::Progress;
use super::quotas::Quotas;
use super::sign_in;
use super::stage::{Plan, Stage, Stopped};
use crate::domain::{Clock, CoachId, Entropy, ProviderKind, SystemClock, SystemEntropy};

/// The share of the calls that fail with `--faults`.
const FAULT_RATE: f64 = 0.10;
/// Sign-ins under way at once.
const SIGN_INS: usize = 8;
/// Wrong flags, settings and files.
const WRONG_INPUT: u8 = 2;

#[derive(Debug)]
pub struct ReplayOptions {
    pub changes: PathBuf,
    pub faults: bool,
    /// Of the faults; a fresh one if not given.
    pub seed: Option<u64>,
    /// Replay against running programs instead of a stage of our own.
    pub elsewhere: Option<Elsewhere>,
}

/// A daemon and the simulator it works with, in processes of their own.
#[derive(Debug)]
pub struct Elsewhere {
    pub daemon: Url,
    pub simulator: Url,
    pub jwt_secret: SecretString,
}

/// Replays and compares. The exit code is 0 if every calendar is as it should be. Ends early when
/// `stop` resolves.
pub async fn replay(
    options: ReplayOptions,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<ExitCode> {
    let text = tokio::fs::read_to_string(&options.changes)
        .await
        .with_context(|| format!("{} cannot be read", options.changes.display()))?;
    let changes = match changes::parse(&text) {
        Ok(changes) => changes,
        Err(bad) => {
            summary::bad_lines(&options.changes, &bad);
            return Ok(ExitCode::from(WRONG_INPUT));
        }
    };
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let faults = options.faults.then_some(seed);
    let summary = match options.elsewhere {
        Some(elsewhere) => {
            let Elsewhere {
                daemon,
                simulator,
                jwt_secret,
            } = elsewhere;
            let show = Show::new(daemon, simulator, &jwt_secret, SystemClock::shared())?;
            tokio::select! {
                ended = show.run(&changes, faults) => ended?,
                () = stop => return Err(Stopped.into()),
            }
        }
        None => on_a_stage(&changes, faults, stop).await?,
    };
    summary.print();
    Ok(if summary.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn on_a_stage(
    changes: &[Change],
    faults: Option<u64>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let quotas = Quotas::for_changes(changes);
    quotas.announce();
    let mut settings = quotas.settings();
    if faults.is_some() {
        settings.extend([
            ("SYNC_RETRY_BASE", "200ms".to_owned()),
            ("SYNC_RETRY_CAP", "5s".to_owned()),
        ]);
    }
    let stage = Stage::set(Plan {
        simulator: quotas.simulator(),
        settings,
        ..Plan::default()
    })
    .await?;
    let clock = stage.surroundings.clock.clone();
    let simulator = stage.simulator_url().clone();
    let show = Show::new(stage.api_url(), simulator, &stage.jwt_secret, clock)?;
    let ended = tokio::select! {
        ended = show.run(changes, faults) => ended,
        () = stage.failed() => Err(anyhow::anyhow!("the daemon could not be kept alive")),
        () = stop => Err(Stopped.into()),
    };
    stage.clear().await?;
    ended
}

fn fresh_seed() -> u64 {
    let mut bytes = [0_u8; 4];
    SystemEntropy.fill(&mut bytes);
    u32::from_le_bytes(bytes).into()
}

/// One replay, wherever the programs run.
struct Show {
    api: Api,
    control: Control,
    clock: Arc<dyn Clock>,
}

impl Show {
    fn new(
        daemon: Url,
        simulator: Url,
        jwt_secret: &SecretString,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let api = Api::new(daemon, jwt_secret, clock.clone())?;
        let control = Control {
            http: api.http.clone(),
            clock: clock.clone(),
            url: simulator,
        };
        Ok(Self {
            api,
            control,
            clock,
        })
    }

    async fn run(&self, changes: &[Change], faults: Option<u64>) -> anyhow::Result<Summary> {
        let expectations = oracle::expectations(changes, Sharing::Nothing);
        let coaches: BTreeSet<CoachId> = changes
            .iter()
            .map(|change| change.appointment.coach_id)
            .collect();
        self.connect_all(&coaches).await?;
        drain::until_quiet(self, &coaches, "first connects").await?;

        if let Some(seed) = faults {
            self.control.chaos(FAULT_RATE, seed).await?;
        }
        let began = self.clock.monotonic();
        let outcomes = send::all(self, changes).await?;
        let sent = self.clock.monotonic();
        let drained = drain::until_quiet(self, &coaches, "carrying to calendars").await?;
        let quiet = self.clock.monotonic();
        self.control.chaos(0.0, 0).await?;

        let findings = inspect::all(self, &coaches, &expectations).await?;
        Ok(Summary {
            changes: changes.len(),
            appointments: expectations.len(),
            coaches: coaches.len(),
            outcomes,
            replay: sent.saturating_sub(began),
            drain: quiet.saturating_sub(sent),
            gave_up: drained.gave_up,
            failed_jobs: drained.failed,
            jobs: self.api.job_counts().await?,
            calls: self.control.state().await?.calls,
            faults,
            findings,
        })
    }

    async fn connect_all(&self, coaches: &BTreeSet<CoachId>) -> Result<(), CallError> {
        let wanted: Vec<_> = coaches
            .iter()
            .flat_map(|coach| ProviderKind::ALL.map(|provider| (*coach, provider)))
            .collect();
        let total = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        let progress = Progress::start("connecting accounts", total, &self.clock);
        let mut connected = stream::iter(wanted)
            .map(async |(coach, provider)| {
                sign_in::connect(&self.api, provider, coach, &account(coach)).await
            })
            .buffer_unordered(SIGN_INS);
        let mut done = 0;
        while connected.try_next().await?.is_some() {
            done += 1;
            progress.reach(done);
        }
        progress.end();
        Ok(())
    }
}

/// The address of a coach's account, the same at both providers.
fn account(coach: CoachId) -> String {
    format!("{coach}@example.com")
}
