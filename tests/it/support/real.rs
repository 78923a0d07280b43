//! The daemon as a process of its own: for what a test process cannot do to itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use calendar_integration::domain::CoachId;
use calendar_integration::security::api_token::{Caller, Role};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;
use tokio::sync::oneshot;
use url::Url;
use uuid::Uuid;

use super::{Api, TestDaemon, eventually, until};

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct RealDaemon {
    child: Child,
    url: Url,
    /// What it wrote to standard error so far.
    said: Said,
}

type Said = Arc<Mutex<String>>;

impl RealDaemon {
    /// A process with the settings of `like`, and some changed. `before` are words for the shell that
    /// starts it, such as `ulimit -n 64`.
    pub(crate) async fn start(like: &TestDaemon, changed: &[(&str, &str)], before: &str) -> Self {
        // One that was killed may still hold the lock of a SQLite file.
        eventually("the process serves", async || {
            let mut command = Command::new("sh");
            command
                .args(["-c", &format!("{before}\nexec \"$0\" serve")])
                .arg(env!("CARGO_BIN_EXE_calendar-integration"))
                .env_clear()
                .envs(like.settings())
                .env("LOG_FORMAT", "json")
                .env("RUST_LOG", "info")
                .envs(changed.iter().copied())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().expect("it starts");
            let said = Said::default();
            let address = served_address(child.stderr.take().expect("piped"), Arc::clone(&said));
            // Dropped, and so reaped, if the process ended without having served.
            let ended = Self {
                child,
                url: Url::parse("http://127.0.0.1:9").expect("a URL"),
                said,
            };
            let url = format!("http://{}", address.await.ok()?);
            let url = Url::parse(&url).expect("a URL");
            Some(ended.at(url))
        })
        .await
    }

    fn at(mut self, url: Url) -> Self {
        self.url = url;
        self
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The booking platform, speaking to this process, over a new connection each time: one that was
    /// idle may be closed at the very moment it is used again.
    pub(crate) fn service(&self, like: &TestDaemon) -> Api {
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        Api {
            http,
            ..like.service_at(self.url.clone())
        }
    }

    pub(crate) fn coach(&self, like: &TestDaemon, id: Uuid) -> Api {
        like.api_at(self.url.clone(), Some(Caller::Coach(CoachId(id))))
    }

    pub(crate) fn admin(&self, like: &TestDaemon) -> Api {
        let caller = Caller::new(Role::Admin, "operator").expect("a caller");
        like.api_at(self.url.clone(), Some(caller))
    }

    pub(crate) fn nobody(&self, like: &TestDaemon) -> Api {
        like.api_at(self.url.clone(), None)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("ours");
    }

    /// How much of something it may use from now on.
    pub(crate) fn limit(&self, resource: Resource, most: Option<u64>) {
        let pid = Some(Pid::from_child(&self.child));
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit {
            current: most.or(maximum),
            maximum,
        };
        prlimit(pid, resource, limit).expect("ours");
    }

    /// Files and sockets it has open.
    pub(crate) fn open_files(&self) -> u64 {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).expect("it runs").count() as u64
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ours").is_none()
    }

    /// What it logged so far, line by line.
    pub(crate) fn log(&self) -> Vec<Value> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = said.lines().map(serde_json::from_str);
        lines.filter_map(Result::ok).collect()
    }

    /// Bytes of memory it has in use.
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.trim().parse::<u64>().ok());
        kilobytes.expect("Linux tells") * 1024
    }

    /// Ends it as SIGTERM does, and waits for that.
    pub(crate) async fn stop(self) {
        self.signal(Signal::TERM);
        self.last_words().await;
    }

    /// Waits for its end; all that it wrote to standard error.
    pub(crate) async fn last_words(mut self) -> String {
        eventually("the process ended", async || {
            (!self.is_running()).then_some(())
        })
        .await;
        // Whoever reads it lets go of it at its end.
        until("all it said was read", || {
            Arc::strong_count(&self.said) == 1
        })
        .await;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *said)
    }
}

impl Drop for RealDaemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that says so; an error if the process ends without. All it says is kept.
fn served_address(log: ChildStderr, said: Said) -> oneshot::Receiver<String> {
    let (say, address) = oneshot::channel();
    let mut say = Some(say);
    // Reads to the end, so that the process can always write.
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
            if say.is_none() {
                continue;
            }
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = line["address"].as_str()
                && let Some(say) = say.take()
            {
                // Nobody waits any more if the story failed meanwhile.
                let _ = say.send(address.to_owned());
            }
        }
    });
    address
}
