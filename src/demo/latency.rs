//! From an accepted change to the provider: how long an idle daemon takes.

#![expect(
    clippy::print_stdout,
    reason = "the measurement is what the command is for"
)]

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use serde_json::json;

use super::api::Api;
use super::quotas::Quotas;
use super::sign_in;
use super::stage::{Plan, Stage, Stopped};
use crate::domain::{AppointmentId, CoachId, ProviderKind};

/// How often the receipt is looked for; it carries its own time, so this blurs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between two changes, so that each meets an idle daemon.
const PAUSE: Duration = Duration::from_millis(20);
/// Times the usual quotas.
const QUOTAS: usize = 10;
const ACCOUNT: &str = "latency@example.com";

/// Reports `changes` new appointments one after the other, with one Google connection, and prints
/// how long after the answer of each the provider received the call for it. Ends early when `stop`
/// resolves.
pub async fn measure(changes: u32, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    // One account would else meet its limit of 600 calls a minute: it is not what is measured.
    let quotas = Quotas::times(QUOTAS);
    quotas.announce();
    let stage = Stage::set(Plan {
        simulator: quotas.simulator(),
        settings: quotas.settings(),
        ..Plan::default()
    })
    .await?;
    let measured = tokio::select! {
        measured = run(&stage, changes) => measured,
        () = stop => Err(Stopped.into()),
    };
    stage.clear().await?;
    print(&measured?);
    Ok(())
}

/// What was measured, in the order of the changes.
struct Measured {
    waits: Vec<Duration>,
    /// How many receipts came before the answer to the report.
    early: usize,
    /// From sending each report to its receipt.
    from_sending: Vec<Duration>,
}

async fn run(stage: &Stage, changes: u32) -> anyhow::Result<Measured> {
    let clock = &stage.surroundings.clock;
    let entropy = &*stage.surroundings.entropy;
    let api = Api::new(stage.api_url(), &stage.jwt_secret, clock.clone())?;
    let coach = CoachId::generate(clock.now(), entropy);
    sign_in::connect(&api, ProviderKind::Google, coach, ACCOUNT).await?;
    while !api.is_quiet().await? {
        clock.sleep(PAUSE).await;
    }
    let mut measured = Measured {
        waits: Vec::new(),
        early: 0,
        from_sending: Vec::new(),
    };
    for number in 0..changes {
        let id = AppointmentId::generate(clock.now(), entropy);
        let starts_at = clock.now() + TimeDelta::hours(24 + i64::from(number));
        let body = json!({
            "coach_id": coach, "status": "confirmed", "time_zone": "Europe/Berlin",
            "starts_at": starts_at, "ends_at": starts_at + TimeDelta::minutes(50),
            "client": {"name": "Latency", "email": "client@example.com"},
        });
        let sent = clock.monotonic();
        api.report(id, &body).await?;
        let answered = clock.monotonic();
        let received = receipt(stage, id).await?;
        measured.early += usize::from(received < answered);
        measured.waits.push(received.saturating_sub(answered));
        measured.from_sending.push(received.saturating_sub(sent));
        while !api.is_quiet().await? {
            clock.sleep(LOOK_EVERY).await;
        }
        clock.sleep(PAUSE).await;
    }
    Ok(measured)
}

/// When the provider received the call, on the clock that simulator and client share.
async fn receipt(stage: &Stage, id: AppointmentId) -> anyhow::Result<Duration> {
    let simulator = stage.simulator();
    let id = id.to_string();
    let wait = async {
        loop {
            if let Some(received) = simulator.first_receipt(&id) {
                return received;
            }
            stage.surroundings.clock.sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(LONGEST_WAIT, wait)
        .await
        .with_context(|| format!("no call reached the provider within {LONGEST_WAIT:?}"))
}

fn print(measured: &Measured) {
    println!(
        "changes        {} on an idle daemon, one Google connection",
        measured.waits.len()
    );
    println!("after answer   {}", spread(&measured.waits));
    println!("after sending  {}", spread(&measured.from_sending));
    println!(
        "early          {} reached the provider before their answer was read, counted as 0",
        measured.early
    );
}

fn spread(waits: &[Duration]) -> String {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let position = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        let wait = sorted.get(position).copied().unwrap_or_default();
        format!("{:.2} ms", wait.as_secs_f64() * 1e3)
    };
    format!(
        "median {}, p90 {}, p99 {}, max {}",
        at(50),
        at(90),
        at(99),
        at(100)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_waits() {
        let waits: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(
            spread(&waits),
            "median 50.00 ms, p90 90.00 ms, p99 99.00 ms, max 100.00 ms"
        );
        assert!(spread(&[]).starts_with("median 0.00 ms"));
    }
}
