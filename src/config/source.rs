//! Where values come from, the strongest first: flags, environment, `.env`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::Path;

use secrecy::zeroize::Zeroizing;

use super::setting::Setting;
use super::{Problem, settings};

/// A secret file longer than this is not a secret.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// The values at hand, in layers. The first layer that mentions a setting decides about it; an
/// empty value there means unset, whatever weaker layers say.
pub struct Sources {
    layers: Vec<Layer>,
    problems: Vec<Problem>,
}

struct Layer {
    origin: Origin,
    values: BTreeMap<String, OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Flags,
    Environment,
    DotEnv,
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flags => "given as a flag",
            Self::Environment => "set in the environment",
            Self::DotEnv => "set in .env",
            Self::Program => "set by the program",
        })
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .layers
            .iter()
            .map(|layer| (layer.origin, layer.values.keys().collect::<Vec<_>>()));
        f.debug_map().entries(names).finish()
    }
}

/// A value that was set, and where.
pub(super) struct Found {
    pub(super) text: Zeroizing<String>,
    pub(super) whence: String,
}

impl Sources {
    /// Flags over the process environment over `.env` in the working directory. Changes neither.
    pub fn of_process(flags: BTreeMap<String, OsString>) -> Self {
        let environment = settings()
            .flat_map(|setting| [Some(setting.name.to_owned()), setting.file_name()])
            .flatten()
            .filter_map(|name| std::env::var_os(&name).map(|value| (name, value)))
            .collect();
        let mut problems = Vec::new();
        let dot_env = read_dot_env(Path::new(".env"), &mut problems);
        let layer = |origin, values| Layer { origin, values };
        Self {
            layers: vec![
                layer(Origin::Flags, flags),
                layer(Origin::Environment, environment),
                layer(Origin::DotEnv, dot_env),
            ],
            problems,
        }
    }

    /// These values and nothing else: neither environment nor files, save those that a `NAME_FILE`
    /// among them names.
    pub fn of_pairs<K: Into<String>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            layers: vec![Layer {
                origin: Origin::Program,
                values,
            }],
            problems: Vec::new(),
        }
    }

    /// Problems of the sources themselves.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn find(&self, setting: &Setting) -> Result<Option<Found>, Problem> {
        for layer in &self.layers {
            let file_name = setting.file_name().unwrap_or_default();
            let given = layer.values.get(setting.name);
            let file = layer.values.get(&file_name);
            let is_set = |value: &&OsString| !value.is_empty();
            match (given.filter(is_set), file.filter(is_set)) {
                (Some(value), None) => return layer.value(setting.name, value).map(Some),
                (None, Some(path)) => return layer.file(&file_name, path).map(Some),
                (Some(_), Some(_)) => {
                    let rule = format!("only one of it and {file_name} may be set");
                    return Err(Problem::new(setting.name, rule));
                }
                (None, None) if given.or(file).is_some() => return Ok(None),
                (None, None) => {}
            }
        }
        Ok(None)
    }
}

impl Layer {
    fn value(&self, name: &str, value: &OsString) -> Result<Found, Problem> {
        let text = value
            .to_str()
            .ok_or_else(|| Problem::new(name, format!("must be valid UTF-8 ({})", self.origin)))?;
        Ok(Found {
            text: Zeroizing::new(text.to_owned()),
            whence: self.origin.to_string(),
        })
    }

    fn file(&self, name: &str, path: &OsString) -> Result<Found, Problem> {
        let refuse = |why: &str| Problem::new(name, format!("{why} ({})", self.origin));
        let mut text = Zeroizing::new(String::new());
        std::fs::File::open(path)
            .and_then(|file| {
                file.take(MAX_SECRET_FILE_BYTES + 1)
                    .read_to_string(&mut text)
            })
            .map_err(|error| {
                refuse(&format!("must name a readable text file: {}", error.kind()))
            })?;
        if text.len() as u64 > MAX_SECRET_FILE_BYTES {
            return Err(refuse("must name a file of at most 64 KiB"));
        }
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(refuse("must name a file that is not empty"));
        }
        Ok(Found {
            text,
            whence: format!("read from {name}, {}", self.origin),
        })
    }
}

/// Unknown names are left alone: the file is often shared with other programs.
fn read_dot_env(path: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, OsString> {
    let mut values = BTreeMap::new();
    let entries = match dotenvy::from_path_iter(path) {
        Ok(entries) => entries,
        Err(error) => {
            if !error.not_found() {
                problems.push(Problem::new(".env", "is there but cannot be read"));
            }
            return values;
        }
    };
    for (index, entry) in entries.enumerate() {
        match entry {
            // The first of two lines with one name counts, as it does for dotenv everywhere.
            Ok((name, value)) => {
                values.entry(name).or_insert_with(|| value.into());
            }
            // The error holds the line, and the line may hold a secret.
            Err(_) => {
                let place = format!("entry {} is not of the form NAME=value", index + 1);
                problems.push(Problem::new(".env", place));
                break;
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LEASE_TTL, security::AUTH_JWT_SECRET};

    fn layers<const N: usize>(layers: [(Origin, &[(&str, &str)]); N]) -> Sources {
        let layers = layers.map(|(origin, pairs)| Layer {
            origin,
            values: pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
                .collect(),
        });
        Sources {
            layers: layers.into(),
            problems: Vec::new(),
        }
    }

    fn text(sources: &Sources, setting: &Setting) -> Option<String> {
        let found = sources.find(setting).expect("no problem");
        found.map(|found| found.text.to_string())
    }

    #[test]
    fn the_strongest_layer_that_mentions_a_setting_decides() {
        let sources = layers([
            (Origin::Flags, &[]),
            (Origin::Environment, &[("LEASE_TTL", "20s")]),
            (Origin::DotEnv, &[("LEASE_TTL", "30s")]),
        ]);
        assert_eq!(text(&sources, &LEASE_TTL).as_deref(), Some("20s"));
    }

    #[test]
    fn an_empty_value_unsets_what_weaker_layers_say() {
        let sources = layers([
            (Origin::Environment, &[("LEASE_TTL", "")]),
            (Origin::DotEnv, &[("LEASE_TTL", "30s")]),
        ]);
        assert_eq!(text(&sources, &LEASE_TTL), None);
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_last_newline() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), " kept \n\n").expect("written");
        let sources = Sources::of_pairs([("AUTH_JWT_SECRET_FILE", file.path())]);
        assert_eq!(
            text(&sources, &AUTH_JWT_SECRET).as_deref(),
            Some(" kept \n")
        );
    }

    #[test]
    fn a_secret_and_its_file_together_are_a_problem() {
        let sources = Sources::of_pairs([("AUTH_JWT_SECRET", "a"), ("AUTH_JWT_SECRET_FILE", "b")]);
        assert!(sources.find(&AUTH_JWT_SECRET).is_err());
        let sources = Sources::of_pairs([("AUTH_JWT_SECRET", "a"), ("AUTH_JWT_SECRET_FILE", "")]);
        assert_eq!(text(&sources, &AUTH_JWT_SECRET).as_deref(), Some("a"));
    }

    #[test]
    fn a_missing_or_empty_secret_file_is_a_problem_of_that_name() {
        let empty = tempfile::NamedTempFile::new().expect("a file");
        for path in [Path::new("/nowhere/at/all"), empty.path()] {
            let sources = Sources::of_pairs([("AUTH_JWT_SECRET_FILE", path)]);
            let problem = sources.find(&AUTH_JWT_SECRET).err().expect("a problem");
            assert_eq!(problem.setting, "AUTH_JWT_SECRET_FILE");
        }
    }

    #[test]
    fn a_broken_line_of_dot_env_is_counted_and_not_shown() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "LEASE_TTL=20s\nsecret with no name\n").expect("written");
        let mut problems = Vec::new();
        let values = read_dot_env(file.path(), &mut problems);
        assert_eq!(values.get("LEASE_TTL"), Some(&OsString::from("20s")));
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [".env: entry 2 is not of the form NAME=value"]
        );
    }

    #[test]
    fn debug_shows_names_alone() {
        let sources = Sources::of_pairs([("AUTH_JWT_SECRET", "hunter2")]);
        let shown = format!("{sources:?}");
        assert!(shown.contains("AUTH_JWT_SECRET") && !shown.contains("hunter2"));
    }
}
