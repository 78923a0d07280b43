//! Who is calling.

use std::fmt;
use std::str::FromStr;

use crate::domain::CoachId;

const MAX_SUBJECT_LEN: usize = 255;

/// What a caller is to us: the claim `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One coach: only what is theirs.
    Coach,
    /// The booking platform: appointments, and the connections of any coach.
    Service,
    /// The operator: everything.
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Coach, Self::Service, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coach => "coach",
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role: allowed are coach, service and admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// The name of a caller that is no coach, kept for the audit log: 1 to 255 printable characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A caller whose token was believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    Coach(CoachId),
    Service(Subject),
    Admin(Subject),
}

/// Why a subject does not fit its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCaller {
    #[error("the sub of a coach must be the coach's UUID")]
    CoachWithoutId,
    #[error("the sub must be 1 to {MAX_SUBJECT_LEN} printable characters")]
    BadSubject,
}

impl Caller {
    pub fn new(role: Role, subject: &str) -> Result<Self, InvalidCaller> {
        match role {
            Role::Coach => subject
                .parse()
                .map(Self::Coach)
                .map_err(|_| InvalidCaller::CoachWithoutId),
            Role::Service => checked(subject).map(Self::Service),
            Role::Admin => checked(subject).map(Self::Admin),
        }
    }

    pub fn role(&self) -> Role {
        match self {
            Self::Coach(_) => Role::Coach,
            Self::Service(_) => Role::Service,
            Self::Admin(_) => Role::Admin,
        }
    }

    /// The claim `sub`.
    pub fn subject(&self) -> String {
        match self {
            Self::Coach(id) => id.to_string(),
            Self::Service(subject) | Self::Admin(subject) => subject.0.clone(),
        }
    }
}

fn checked(subject: &str) -> Result<Subject, InvalidCaller> {
    let allowed = !subject.trim().is_empty()
        && subject.len() <= MAX_SUBJECT_LEN
        && !subject.chars().any(char::is_control);
    allowed
        .then(|| Subject(subject.to_owned()))
        .ok_or(InvalidCaller::BadSubject)
}

/// For audit lines: `coach 0b7e…`, `service booking`.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role(), self.subject())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coach_is_a_uuid_and_others_are_any_printable_text() {
        let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let coach = Caller::new(Role::Coach, id).expect("a coach");
        assert_eq!(coach.to_string(), format!("coach {id}"));
        assert_eq!(
            Caller::new(Role::Coach, "anna"),
            Err(InvalidCaller::CoachWithoutId)
        );
        let service = Caller::new(Role::Service, "booking").expect("a service");
        assert_eq!(
            (service.role(), service.subject().as_str()),
            (Role::Service, "booking")
        );
        for subject in ["", "  ", "line\nbreak", &"x".repeat(256)] {
            assert_eq!(
                Caller::new(Role::Admin, subject),
                Err(InvalidCaller::BadSubject)
            );
        }
    }
}
