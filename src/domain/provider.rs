//! Which calendar services exist.

use std::fmt;
use std::str::FromStr;

use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// A calendar service. Adding one starts here: the compiler then names every place to fill in.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum ProviderKind {
    /// Google Calendar.
    Google,
    /// Outlook, through Microsoft Graph.
    Outlook,
}

impl ProviderKind {
    pub const ALL: [Self; 2] = [Self::Google, Self::Outlook];

    /// The word used in routes, rows, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Outlook => "outlook",
        }
    }

    /// The name a coach knows.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Google => "Google Calendar",
            Self::Outlook => "Outlook Calendar",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A provider name that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider: allowed are google and outlook")]
pub struct UnknownProvider;

impl FromStr for ProviderKind {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownProvider)
    }
}
