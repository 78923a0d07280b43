//! The flags of `serve`, one per setting, made from the table of settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use clap::{Arg, ArgMatches, FromArgMatches};

use crate::config::{GROUPS, Setting, Sources, settings};

const AFTER_HELP: &str = "\
A flag wins over the environment, the environment over `.env`, and `.env` over the default. An empty \
value means unset. Every secret may also come from a file, named by the variable with _FILE at its \
end or the flag with -file; prefer that to a secret's own flag, which other users of the machine can \
see. All problems are reported at once, and the exit code is then 2.";

/// The settings given as flags, by the names of their variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ServeArgs {
    flags: BTreeMap<String, OsString>,
}

impl fmt::Debug for ServeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.flags.keys()).finish()
    }
}

impl ServeArgs {
    /// These flags over environment and `.env`.
    pub fn into_sources(self) -> Sources {
        Sources::of_process(self.flags)
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let mut command = command.after_long_help(AFTER_HELP);
        for group in &GROUPS {
            command = command.next_help_heading(group.title);
            for setting in group.settings {
                command = command.arg(value_flag(setting)).args(file_flag(setting));
            }
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let names = settings()
            .flat_map(|setting| [Some(setting.name.to_owned()), setting.file_name()])
            .flatten();
        for name in names {
            if let Some(value) = matches.get_one::<OsString>(&name) {
                self.flags.insert(name, value.clone());
            }
        }
        Ok(())
    }
}

fn value_flag(setting: &'static Setting) -> Arg {
    let short = format!(
        "{} [env: {}] [default: {}]",
        sentence(setting.meaning),
        setting.name,
        setting.default
    );
    let long = format!(
        "{}\n\nAllowed: {}\n[env: {}]\n[default: {}]",
        sentence(setting.meaning),
        setting.allowed,
        setting.name,
        setting.default
    );
    flag(setting.name.to_owned(), setting.flag(), "VALUE")
        .help(short)
        .long_help(long)
}

fn file_flag(setting: &'static Setting) -> Option<Arg> {
    let name = setting.file_name()?;
    let help = format!("File holding {} [env: {name}]", setting.name);
    Some(flag(name, format!("{}-file", setting.flag()), "FILE").help(help))
}

fn flag(name: String, long: String, value_name: &'static str) -> Arg {
    Arg::new(name)
        .long(long)
        .value_name(value_name)
        .value_parser(clap::value_parser!(OsString))
}

fn sentence(meaning: &str) -> String {
    let mut letters = meaning.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    #[test]
    fn help_names_every_setting_with_default_meaning_and_rule() {
        let help = Cli::command()
            .find_subcommand_mut("serve")
            .expect("serve")
            .clone()
            .term_width(0)
            .render_long_help()
            .to_string();
        for setting in settings() {
            for part in [
                format!("--{} <VALUE>", setting.flag()),
                format!("[env: {}]", setting.name),
                format!("[default: {}]", setting.default),
                format!("Allowed: {}", setting.allowed),
                sentence(setting.meaning),
            ] {
                assert!(help.contains(&part), "{part}");
            }
        }
        assert!(help.contains("--auth-jwt-secret-file <FILE>"));
    }

    #[test]
    fn flags_become_settings_and_debug_hides_their_values() {
        let words = [
            "calendar-integration",
            "serve",
            "--lease-ttl",
            "20s",
            "--auth-jwt-secret=hunter2",
        ];
        let matches = Cli::command().try_get_matches_from(words).expect("parses");
        let (_, matches) = matches.subcommand().expect("serve");
        let args = ServeArgs::from_arg_matches(matches).expect("flags");
        assert_eq!(args.flags["LEASE_TTL"], "20s");
        assert_eq!(format!("{args:?}"), r#"{"AUTH_JWT_SECRET", "LEASE_TTL"}"#);
    }
}
