//! What one setting is: its name, default, meaning and allowed values.
//!
//! Every setting is a `static` beside the section that reads it. The loader, the flags and help of
//! `serve`, and the table in the README are all made from these, so that they cannot disagree.

use std::fmt;
use std::time::Duration;

use super::{duration, limits::Quota};

/// One setting, known to operators by the name of its environment variable.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub default: Preset,
    pub meaning: &'static str,
    pub allowed: Allowed,
    /// Secrets are never shown and may also come from the file named by `NAME_FILE`.
    pub secret: bool,
}

/// What holds when nothing is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A value; a leading `${PUBLIC_URL}` stands for that setting.
    Value(&'static str),
    /// No value; the text says what that leads to.
    Unset(&'static str),
}

/// Which values are allowed. Its `Display` is what operators read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Said in words; the section that reads the setting checks it.
    Words(&'static str),
    Duration {
        min: Duration,
        max: Duration,
    },
    Integer {
        min: u32,
        max: u32,
    },
    Quota {
        min_units: u32,
    },
}

impl Setting {
    /// The flag of `serve`, without its dashes: `BIND_ADDRESS` is `--bind-address`.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// The setting that names a file holding this one's value; secrets have it.
    pub fn file_name(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.name))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(text) => f.write_str(text),
            Self::Unset(effect) => write!(f, "none: {effect}"),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(text) => f.write_str(text),
            Self::Duration { min, max } => write!(
                f,
                "a duration from {} to {}, in h, m, s and ms",
                duration::show(*min),
                duration::show(*max)
            ),
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Quota { min_units } => write!(
                f,
                "units per window such as 600/1m: at least {min_units} units, in a window from {} to {}",
                duration::show(Quota::SHORTEST_WINDOW),
                duration::show(Quota::LONGEST_WINDOW)
            ),
        }
    }
}
