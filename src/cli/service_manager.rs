//! What systemd hears from us (`Type=notify`), and the unit it is started by.
//!
//! Without `NOTIFY_SOCKET` nothing is said to nobody.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;

use crate::daemon::Daemon;

/// `{program}` stands for where this program lies.
const UNIT: &str = include_str!("calendar-integration.service");

/// The unit for this program, where it lies now.
#[expect(clippy::print_stdout, reason = "printing the unit is the command")]
pub(super) fn print_unit() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("where this program lies is not known")?;
    let program = program.to_str().context("the path is not UTF-8")?;
    print!("{}", unit(program)?);
    Ok(ExitCode::SUCCESS)
}

/// systemd reads `%` and spaces in paths as its own.
fn unit(program: &str) -> anyhow::Result<String> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    anyhow::ensure!(
        program.chars().all(is_plain),
        "a unit cannot name {program:?}: move the program to a path of letters, digits and /._-+"
    );
    Ok(UNIT.replace("{program}", program))
}

/// The API answers, and the store has this version's schema.
pub(super) fn ready() {
    say(&[NotifyState::Ready]);
}

pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Feeds systemd's watchdog while ours is content; without one, never returns. What is not fed is killed
/// and started anew.
pub(super) async fn feed_watchdog(daemon: &Daemon) -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // Its manual advises twice within the limit. More often, so that one that comes late, or finds the
    // watchdog in between two looks, is not the last: every 30 seconds of the unit's three minutes.
    let pause = (limit / 6).max(Duration::from_millis(1));
    loop {
        if daemon.is_getting_on() {
            say(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(pause).await;
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(error = %error, "the service manager was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_names_the_program_and_the_settings_it_sets_exist() {
        let unit = unit("/usr/local/bin/calendar-integration").expect("a plain path");
        assert!(unit.contains("\nExecStart=/usr/local/bin/calendar-integration serve\n"));
        assert!(!unit.contains('{'), "{unit}");
        let known: Vec<String> = crate::config::settings()
            .flat_map(|setting| [Some(setting.name.to_owned()), setting.file_name()])
            .flatten()
            .collect();
        let set = unit.lines().filter_map(|line| {
            let line = line.trim_start_matches('#');
            line.strip_prefix("Environment=")?.split('=').next()
        });
        let set: Vec<&str> = set.collect();
        assert!(set.len() > 2, "{set:?}");
        for name in set {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn a_path_that_systemd_would_read_otherwise_is_refused() {
        for path in ["/opt/my programs/x", "/opt/100%/x"] {
            assert!(unit(path).is_err(), "{path}");
        }
    }
}
