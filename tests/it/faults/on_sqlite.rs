//! 4: a SQLite file that another process has locked, or that is replaced by an older copy. Needs SQLite.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use chrono::TimeDelta;

use super::platform::Platform;
use crate::support::{RealDaemon, TestDaemon, needs_sqlite};

#[tokio::test]
async fn a_file_that_another_process_writes_is_waited_for_and_then_the_caller_told() {
    needs_sqlite();
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "").await;
    let api = process.service(&daemon);
    let held = daemon.database.hold("SELECT 1").await;
    platform.is_refused(&daemon, &api).await;
    held.let_go().await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
    process.stop().await;
}

/// `calendar-integration backup`, beside the daemon.
async fn backup(copy: &Path, url: String) -> Output {
    let copy = copy.to_owned();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_calendar-integration"))
            .arg("backup")
            .arg(copy)
            .env_clear()
            .env("DATABASE_URL", url)
            .output()
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.expect("no panic").expect("it runs")
}

#[tokio::test]
async fn after_an_older_backup_is_restored_events_are_adopted_and_not_doubled() {
    needs_sqlite();
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    let moved = platform.report_new(&daemon).await;
    let kept = platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;

    // Work goes on while it is copied: some of it is in the copy, and perhaps not yet in the calendars.
    let file = daemon.database.file();
    let copy = file.with_extension("copy");
    let backup = backup(&copy, daemon.database.url());
    let (backup, meanwhile) = tokio::join!(backup, platform.report_new(&daemon));
    assert!(backup.status.success(), "{backup:?}");
    let mode = std::fs::metadata(&copy)
        .expect("a copy")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "it holds client details");

    let later = platform.report_new(&daemon).await;
    let moved = moved.moved(TimeDelta::minutes(30));
    platform.report(&api, &moved).await;
    platform.agrees_with(&daemon).await;
    daemon.stop().await;
    for ending in ["db-wal", "db-shm"] {
        // They may have gone with the last connection.
        let _ = std::fs::remove_file(file.with_extension(ending));
    }
    std::fs::rename(&copy, &file).expect("restored");
    daemon.start_again().await;

    // As the README says: report again, then sync everything.
    let api = daemon.service();
    for session in [&moved, &kept, &meanwhile, &later] {
        platform.report(&api, session).await;
    }
    for id in platform.connections.clone() {
        api.sync_now(id).await;
        api.settled(id).await;
    }
    platform.agrees_with(&daemon).await;
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    needs_sqlite();
    let daemon = TestDaemon::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let there = directory.path().join("there");
    std::fs::write(&there, "precious").expect("written");
    // Longer than SQLite takes, though a file can be made there.
    let far_down = ["x"; 3]
        .map(|name| name.repeat(200))
        .iter()
        .collect::<std::path::PathBuf>();
    let far_down = directory.path().join(far_down);
    std::fs::create_dir_all(&far_down).expect("made");
    for (copy, url, words) in [
        (
            far_down.join("copy"),
            daemon.database.url(),
            "unable to open",
        ),
        (there.clone(), daemon.database.url(), "cannot be written"),
        (
            directory.path().join("no/such/place"),
            daemon.database.url(),
            "cannot be written",
        ),
        (
            directory.path().join("copy"),
            "sqlite:///no/such/file.db".to_owned(),
            "is not there",
        ),
        (
            directory.path().join("copy"),
            "postgres://x@127.0.0.1:1/y".to_owned(),
            "pg_dump",
        ),
    ] {
        let refused = backup(&copy, url).await;
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&there).expect("read"), "precious");
    assert!(!far_down.join("copy").exists());
    let left = std::fs::read_dir(directory.path()).expect("read").count();
    assert_eq!(left, 2);
}
