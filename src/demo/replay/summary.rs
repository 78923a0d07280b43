//! What a replay prints at its end.

#![expect(clippy::print_stdout, reason = "the report is what the command is for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::inspect::Findings;
use super::send::Outcomes;
use crate::demo::api::JobCounts;
use crate::demo::changes::BadLine;
use crate::domain::ProviderKind;
use crate::simulator::{CallCount, CallKind, Duplicate};

/// So many differences, duplicates or bad lines are listed.
const LISTED: usize = 20;
/// The simulator's word for an answer that never came.
const CUT: u16 = 0;

#[derive(Debug)]
pub(super) struct Summary {
    pub(super) changes: usize,
    pub(super) appointments: usize,
    pub(super) coaches: usize,
    pub(super) outcomes: Outcomes,
    pub(super) replay: Duration,
    pub(super) drain: Duration,
    pub(super) gave_up: bool,
    pub(super) failed_jobs: u64,
    pub(super) jobs: JobCounts,
    pub(super) calls: Vec<CallCount>,
    /// The seed of the faults, if there were any.
    pub(super) faults: Option<u64>,
    pub(super) findings: Findings,
}

impl Summary {
    pub(super) fn is_clean(&self) -> bool {
        !self.gave_up && self.findings.differences.is_empty() && self.findings.duplicates.is_empty()
    }

    pub(super) fn print(&self) {
        let Self {
            changes,
            appointments,
            coaches,
            outcomes,
            jobs,
            findings,
            ..
        } = self;
        println!("changes        {changes} of {appointments} appointments of {coaches} coaches");
        println!(
            "outcomes       {} created, {} updated, {} unchanged, {} stale",
            outcomes.created, outcomes.updated, outcomes.unchanged, outcomes.stale
        );
        println!(
            "events         {} in {} calendars",
            findings.events,
            coaches * ProviderKind::ALL.len()
        );
        for provider in ProviderKind::ALL {
            println!(
                "calls          {provider}: {}",
                calls(&self.calls, provider)
            );
        }
        println!(
            "jobs           {} completed, {} retried, {} put off since the daemon's start; {} given up",
            jobs.completed, jobs.retried, jobs.put_off, self.failed_jobs
        );
        self.print_faults();
        let (replay, drain) = (self.replay.as_secs_f64(), self.drain.as_secs_f64());
        println!(
            "time           replay {replay:.2} s ({:.0} changes/s), drain {drain:.2} s, together {:.0} changes/s",
            per_second(*changes, replay),
            per_second(*changes, replay + drain)
        );
        self.print_verdict();
    }

    fn print_faults(&self) {
        let Some(seed) = self.faults else { return };
        let mut fired = BTreeMap::<u16, u64>::new();
        for calls in self.calls.iter().filter(|calls| is_failure(calls.status)) {
            *fired.entry(calls.status).or_default() += calls.count;
        }
        let fired: Vec<String> = fired
            .into_iter()
            .map(|(status, count)| match status {
                CUT => format!("{count} answers cut off"),
                status => format!("{count} with {status}"),
            })
            .collect();
        println!("faults         seed {seed}: {}", fired.join(", "));
    }

    fn print_verdict(&self) {
        let Findings {
            differences,
            duplicates,
            ..
        } = &self.findings;
        println!("duplicates     {}", duplicates.len());
        for duplicate in duplicates.iter().take(LISTED) {
            println!("  {}", duplicate_line(duplicate));
        }
        println!("differences    {}", differences.len());
        for difference in differences.iter().take(LISTED) {
            println!("  {difference}");
        }
        if differences.len() > LISTED {
            println!("  and {} more", differences.len() - LISTED);
        }
        if self.gave_up {
            println!("result         work is left in the queue and nothing moves any more");
        } else if self.is_clean() {
            println!("result         every calendar is as it should be");
        } else {
            println!("result         calendars are NOT as they should be");
        }
    }
}

fn per_second(count: usize, seconds: f64) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

/// Whether an answer says that a call failed in passing, not that it made no sense.
fn is_failure(status: u16) -> bool {
    status == CUT || status == 429 || status >= 500
}

fn calls(all: &[CallCount], provider: ProviderKind) -> String {
    let mut by_kind = BTreeMap::<CallKind, u64>::new();
    for calls in all.iter().filter(|calls| calls.provider == provider) {
        *by_kind.entry(calls.operation).or_default() += calls.count;
    }
    let named = by_kind.iter().map(|(kind, count)| {
        let name = serde_json::to_value(kind).ok();
        let name = name.as_ref().and_then(serde_json::Value::as_str);
        format!("{count} {}", name.unwrap_or("other"))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn duplicate_line(duplicate: &Duplicate) -> String {
    match duplicate {
        Duplicate::LiveEvents {
            provider,
            account,
            appointment_id,
            event_ids,
        } => format!(
            "{provider} {account}: {} live events for appointment {appointment_id}",
            event_ids.len()
        ),
        Duplicate::Creates {
            provider,
            event_key,
            count,
        } => format!("{provider}: {count} creates under the key {event_key}"),
    }
}

#[expect(clippy::print_stderr, reason = "what is wrong with the input")]
pub(super) fn bad_lines(file: &Path, bad: &[BadLine]) {
    for line in bad.iter().take(LISTED) {
        eprintln!("error: {}: {line}", file.display());
    }
    if bad.len() > LISTED {
        eprintln!(
            "error: {}: and {} more bad lines",
            file.display(),
            bad.len() - LISTED
        );
    }
}
