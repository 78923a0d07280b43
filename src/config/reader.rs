//! Turns texts into values and gathers every problem on the way.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::limits::Quota;
use super::setting::{Allowed, Preset, Setting};
use super::source::{Found, Sources};
use super::{address, duration, http::PUBLIC_URL};

/// One thing an operator must change. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the setting, of its `_FILE` twin, or `.env`.
    pub setting: String,
    /// What is wrong and what is allowed.
    pub rule: String,
}

impl Problem {
    pub(super) fn new(setting: &str, rule: impl Into<String>) -> Self {
        Self {
            setting: setting.to_owned(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.rule)
    }
}

/// The settings are wrong: all of what is, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    problems: Vec<Problem>,
}

impl Invalid {
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings need a change")?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// A part of the configuration that can be loaded by itself.
pub trait Section: Sized {
    /// Reads every setting of the section, so that all problems are found; `None` after a problem.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Reads this section alone.
    fn load(sources: &Sources) -> Result<Self, Invalid> {
        let mut reader = Reader {
            sources,
            problems: sources.problems().to_vec(),
        };
        let section = Self::read(&mut reader);
        match section {
            Some(section) if reader.problems.is_empty() => Ok(section),
            Some(_) | None => Err(Invalid {
                problems: reader.problems,
            }),
        }
    }
}

/// Two sections of one command, with the problems of both.
impl<A: Section, B: Section> Section for (A, B) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (first, second) = (A::read(reader), B::read(reader));
        Some((first?, second?))
    }
}

/// Reads settings from [`Sources`].
///
/// `None` from any of its methods means "unset" or "a problem was noted"; a section that needs the
/// value passes it through `require`.
#[derive(Debug)]
pub struct Reader<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Notes that `setting` breaks `rule`.
    pub(super) fn refuse(&mut self, setting: &Setting, rule: impl Into<String>) {
        self.note(Problem::new(setting.name, rule));
    }

    /// Whether a problem of `setting` or of its file was noted.
    pub(super) fn refused(&self, setting: &Setting) -> bool {
        let file_name = setting.file_name();
        self.problems.iter().any(|problem| {
            problem.setting == setting.name || Some(&problem.setting) == file_name.as_ref()
        })
    }

    /// Notes that `setting` must be set, unless it is or was already refused.
    pub(super) fn require<T>(
        &mut self,
        setting: &Setting,
        value: Option<T>,
        because: &str,
    ) -> Option<T> {
        if value.is_none() && !self.refused(setting) {
            self.refuse(
                setting,
                format!("{because}; allowed is {}", setting.allowed),
            );
        }
        value
    }

    /// The value, or the default, if `accept` takes it.
    pub(super) fn parse<T>(
        &mut self,
        setting: &Setting,
        accept: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let found = self.find(setting)?;
        let value = accept(&found.text);
        if value.is_none() {
            let rule = format!("allowed is {} ({})", setting.allowed, found.whence);
            self.refuse(setting, rule);
        }
        value
    }

    /// The value as a secret, if `accept` takes it.
    pub(super) fn secret(
        &mut self,
        setting: &Setting,
        accept: impl FnOnce(&str) -> bool,
    ) -> Option<SecretString> {
        self.parse(setting, |text| {
            let secret = SecretString::from(text);
            accept(secret.expose_secret()).then_some(secret)
        })
    }

    pub(super) fn duration(&mut self, setting: &Setting) -> Option<Duration> {
        self.parse(setting, |text| {
            let value = duration::parse(text)?;
            let allowed =
                matches!(setting.allowed, Allowed::Duration { min, max } if min <= value && value <= max);
            allowed.then_some(value)
        })
    }

    pub(super) fn integer(&mut self, setting: &Setting) -> Option<u32> {
        self.parse(setting, |text| {
            let value = text.parse().ok()?;
            let allowed =
                matches!(setting.allowed, Allowed::Integer { min, max } if min <= value && value <= max);
            allowed.then_some(value)
        })
    }

    pub(super) fn quota(&mut self, setting: &Setting) -> Option<Quota> {
        self.parse(setting, |text| {
            let value = Quota::parse(text)?;
            let allowed = matches!(setting.allowed, Allowed::Quota { min_units } if min_units <= value.units.get());
            allowed.then_some(value)
        })
    }

    pub(super) fn web_url(&mut self, setting: &Setting) -> Option<Url> {
        self.parse(setting, address::web)
    }

    pub(super) fn endpoint(&mut self, setting: &Setting) -> Option<Url> {
        self.parse(setting, address::endpoint)
    }

    /// One line of printable text without spaces at its ends.
    pub(super) fn line(&mut self, setting: &Setting) -> Option<String> {
        self.parse(setting, |text| {
            let allowed =
                text.len() <= 512 && text.trim() == text && !text.chars().any(char::is_control);
            allowed.then(|| text.to_owned())
        })
    }

    fn find(&mut self, setting: &Setting) -> Option<Found> {
        match (self.sources.find(setting), setting.default) {
            (Ok(Some(found)), _) => Some(found),
            (Ok(None), Preset::Value(text)) => self.default_value(text),
            (Ok(None), Preset::Unset(_)) => None,
            (Err(problem), _) => {
                self.note(problem);
                None
            }
        }
    }

    fn default_value(&mut self, text: &str) -> Option<Found> {
        let text = match text.strip_prefix("${PUBLIC_URL}") {
            None => text.to_owned(),
            // If PUBLIC_URL is wrong, that is the one problem to report.
            Some(path) => {
                let public_url = self.parse(&PUBLIC_URL, address::web_base)?;
                format!("{}{path}", public_url.as_str().trim_end_matches('/'))
            }
        };
        Some(Found {
            text: text.into(),
            whence: "the default".to_owned(),
        })
    }

    fn note(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
