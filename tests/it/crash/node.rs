//! One process of the daemon, and its keeper, who starts it again when it has ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a process is started with.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) settings: BTreeMap<&'static str, String>,
    /// Of the first start only.
    pub(super) failpoints: Option<String>,
    /// Where its logs lie.
    pub(super) directory: PathBuf,
    pub(super) name: String,
}

/// Clones share the process; it is killed with the last of them.
#[derive(Clone, Debug)]
pub(super) struct Node(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    launch: Launch,
    process: Option<Process>,
    /// Whether it stays down once it has ended.
    held: bool,
    starts: usize,
    exits: Vec<ExitStatus>,
    starting_took: Vec<Duration>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
    started: Instant,
    /// Once it serves.
    url: Option<Url>,
}

impl Node {
    pub(super) fn start(launch: Launch) -> Self {
        let node = Self(Arc::new(Mutex::new(Kept {
            launch,
            process: None,
            held: false,
            starts: 0,
            exits: Vec::new(),
            starting_took: Vec::new(),
        })));
        tokio::spawn(keep(Arc::downgrade(&node.0)));
        node
    }

    /// Where it serves, if it does.
    pub(super) fn url(&self) -> Option<Url> {
        self.kept().process.as_ref()?.url.clone()
    }

    /// `kill -9`; false if there was nothing to kill.
    pub(super) fn kill(&self) -> bool {
        let mut kept = self.kept();
        let Some(mut process) = kept.process.take() else {
            return false;
        };
        process.child.kill().expect("our child can be killed");
        let status = process.child.wait().expect("our child ends");
        kept.exits.push(status);
        true
    }

    /// Whether it stays down once it has ended.
    pub(super) fn hold(&self, held: bool) {
        self.kept().held = held;
    }

    /// SIGTERM.
    pub(super) fn terminate(&self) {
        let kept = self.kept();
        let process = kept.process.as_ref().expect("it runs");
        let sent = Command::new("kill")
            .args(["-TERM", &process.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is a program").success());
    }

    pub(super) fn is_running(&self) -> bool {
        self.kept().process.is_some()
    }

    /// How the processes so far ended.
    pub(super) fn exits(&self) -> Vec<ExitStatus> {
        self.kept().exits.clone()
    }

    /// How long each start took until it served.
    pub(super) fn starting_took(&self) -> Vec<Duration> {
        self.kept().starting_took.clone()
    }

    /// What all its processes logged.
    pub(super) fn log(&self) -> String {
        let kept = self.kept();
        let logs = (1..=kept.starts).map(|start| kept.launch.log(start));
        logs.map(|path| std::fs::read_to_string(path).expect("a log"))
            .collect()
    }

    /// Whether it came to a failpoint that it was started with.
    pub(super) fn was_struck(&self) -> bool {
        self.log().contains("a failpoint strikes")
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep(kept: Weak<Mutex<Kept>>) {
    while let Some(kept) = kept.upgrade() {
        kept.lock().unwrap_or_else(PoisonError::into_inner).look();
        drop(kept);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Launch {
    fn log(&self, start: usize) -> PathBuf {
        self.directory.join(format!("{}-{start}.log", self.name))
    }
}

impl Kept {
    fn look(&mut self) {
        let Some(process) = &mut self.process else {
            if !self.held {
                self.launch();
            }
            return;
        };
        if let Some(status) = process.child.try_wait().expect("our child") {
            self.exits.push(status);
            self.process = None;
        } else if process.url.is_none() {
            process.url = address(&process.log);
            if process.url.is_some() {
                self.starting_took.push(process.started.elapsed());
            }
        }
    }

    fn launch(&mut self) {
        self.starts += 1;
        let log = self.launch.log(self.starts);
        let mut command = Command::new(env!("CARGO_BIN_EXE_calendar-integration"));
        command
            .arg("serve")
            .env_clear()
            .envs(&self.launch.settings)
            // Without a `.env` of somebody.
            .current_dir(&self.launch.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"));
        if let Some(failpoints) = self.launch.failpoints.take() {
            command.env("FAILPOINTS", failpoints);
        }
        self.process = Some(Process {
            child: command.spawn().expect("the daemon starts"),
            log,
            started: Instant::now(),
            url: None,
        });
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// From the line that says so; a line that is only half written does not parse.
fn address(log: &Path) -> Option<Url> {
    let text = std::fs::read_to_string(log).expect("a log");
    let mut lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let serving = lines.find(|line| line["message"] == "serving")?;
    let address = serving["address"].as_str().expect("an address");
    Some(Url::parse(&format!("http://{address}")).expect("an address"))
}
