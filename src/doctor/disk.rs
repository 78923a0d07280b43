//! Room for a SQLite database to grow. A PostgreSQL's disk cannot be seen from here.

use std::path::Path;

use super::{Finding, Verdict};

const MIB: u64 = 1024 * 1024;
/// Below it, changes may soon be refused.
const LITTLE: u64 = 1024 * MIB;
const ALMOST_NOTHING: u64 = 100 * MIB;

/// `None` if the file system does not tell.
pub(super) fn examine(database: &Path) -> Option<Finding> {
    let directory = database.parent().filter(|path| *path != Path::new(""));
    let seen = rustix::fs::statvfs(directory.unwrap_or(Path::new("."))).ok()?;
    // What root keeps for itself is not ours.
    Some(judge(seen.f_bavail.saturating_mul(seen.f_frsize)))
}

fn judge(free: u64) -> Finding {
    let detail = format!("{} MiB free beside the database", free / MIB);
    let remedy = "make room, or move the database; until then changes may be refused with \
                  503 database_unavailable (nothing acknowledged is lost)";
    let verdict = match free {
        free if free < ALMOST_NOTHING => Verdict::Bad,
        free if free < LITTLE => Verdict::Doubtful,
        _ => return Finding::good("disk", detail),
    };
    Finding::new(verdict, "disk", detail, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_is_free() {
        for (free, verdict) in [
            (0, Verdict::Bad),
            (99 * MIB, Verdict::Bad),
            (500 * MIB, Verdict::Doubtful),
            (2_000 * MIB, Verdict::Good),
        ] {
            assert_eq!(judge(free).verdict, verdict, "{free}");
        }
    }

    #[test]
    fn where_a_database_would_lie_is_looked_at_before_it_is_there() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(examine(&directory.path().join("none-yet.db")).is_some());
        assert!(examine(Path::new("/no/such/place/x.db")).is_none());
    }
}
