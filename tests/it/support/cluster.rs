//! A PostgreSQL server of one story's own, that it may stop, copy and restart.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::TestDatabase;

/// Stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    /// The user it runs as: PostgreSQL refuses to run as root.
    user: Option<(u32, u32)>,
    directory: tempfile::TempDir,
}

impl Cluster {
    /// A new server, running.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir_in("/tmp").expect("a directory");
        let user = postgres_user(directory.path());
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid)).expect("root may");
        }
        let cluster = Self {
            programs: programs(),
            user,
            directory,
        };
        let data = cluster.data();
        cluster.run(
            "initdb",
            ["--username=postgres", "--auth=trust", "--encoding=UTF8"]
                .map(OsStr::new)
                .into_iter()
                .chain(["--no-locale", "--no-sync", "--pgdata"].map(OsStr::new))
                .chain([data.as_os_str()]),
        );
        cluster.start_again();
        cluster
    }

    pub(crate) fn start_again(&self) {
        let socket = self.directory.path().display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={socket} -c fsync=off \
             -c max_connections=60 -c shared_buffers=16MB"
        );
        let log = self.directory.path().join("log");
        self.pg_ctl(&["start", "--wait", "--options", &options, "--log"], &log);
    }

    /// Sessions are ended, what was committed is on disk.
    pub(crate) fn stop(&self) {
        self.pg_ctl(
            &["stop", "--wait", "--mode=fast", "--log"],
            Path::new("/dev/null"),
        );
    }

    /// As by kill -9; the next start recovers from the log of writes.
    pub(crate) fn crash(&self) {
        self.pg_ctl(
            &["stop", "--mode=immediate", "--log"],
            Path::new("/dev/null"),
        );
    }

    /// Keeps a copy of the stopped server's data.
    pub(crate) fn keep_copy(&self) {
        self.command("cp", ["-a"], [self.data(), self.copy()]);
    }

    /// Puts the copy in the place of the stopped server's data.
    pub(crate) fn fall_back_to_copy(&self) {
        std::fs::remove_dir_all(self.data()).expect("removed");
        std::fs::rename(self.copy(), self.data()).expect("renamed");
    }

    /// A database in it. It must go before the server does.
    pub(crate) async fn database(&self) -> TestDatabase {
        let socket = self.directory.path().display().to_string();
        let host = socket.replace('/', "%2F");
        TestDatabase::on_server(format!("postgres://postgres@{host}/postgres")).await
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn copy(&self) -> PathBuf {
        self.directory.path().join("copy")
    }

    fn pg_ctl(&self, arguments: &[&str], log: &Path) {
        let data = self.data();
        let arguments = arguments.iter().map(OsStr::new);
        self.run(
            "pg_ctl",
            arguments.chain([log.as_os_str(), OsStr::new("--pgdata"), data.as_os_str()]),
        );
    }

    fn run<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
        self.command(self.programs.join(program), arguments, None::<PathBuf>);
    }

    fn command<'a>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr> + 'a>,
        more: impl IntoIterator<Item = PathBuf>,
    ) {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(more)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status = command.status().expect("it can be run");
        assert!(status.success(), "{command:?}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.crash();
        }
    }
}

/// The user `postgres`, for root; nobody else, for anybody else.
fn postgres_user(owned: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata(owned).expect("it is there").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("readable");
    let fields = users
        .lines()
        .find_map(|line| line.strip_prefix("postgres:"))
        .expect("PostgreSQL's packages make its user");
    let ids: Vec<u32> = fields
        .split(':')
        .skip(1)
        .take(2)
        .map(|id| id.parse().expect("a number"))
        .collect();
    Some((ids[0], ids[1]))
}

/// Where the newest PostgreSQL's programs are.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    let here = std::env::split_paths(&path).collect::<Vec<_>>();
    here.into_iter()
        .chain(versions)
        .rfind(|directory| directory.join("initdb").exists())
        .expect("PostgreSQL's initdb; tests/run installs it")
}
