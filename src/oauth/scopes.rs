//! Which access is asked for, and whether what was granted is enough.
//!
//! Both providers may grant a part of what was asked (Google lets people untick boxes) and may name
//! it otherwise than we did: the question is always "does it cover what is needed", never "is it
//! the same text".

use crate::domain::ProviderKind;

const GOOGLE_CALENDAR: &str = "https://www.googleapis.com/auth/calendar";
const GOOGLE_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const GOOGLE_PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";

const MICROSOFT_OFFLINE: &str = "offline_access";
const MICROSOFT_USER: &str = "User.Read";
const MICROSOFT_CALENDARS: &str = "Calendars.ReadWrite";
const MICROSOFT_GRAPH: &str = "https://graph.microsoft.com/";

/// What the consent screen asks for.
pub(super) fn requested(provider: ProviderKind) -> &'static [&'static str] {
    match provider {
        ProviderKind::Google => &[GOOGLE_CALENDAR, GOOGLE_EMAIL, GOOGLE_PROFILE],
        ProviderKind::Outlook => &[MICROSOFT_OFFLINE, MICROSOFT_USER, MICROSOFT_CALENDARS],
    }
}

/// What a connection cannot do without: the calendar, and knowing whose it is.
///
/// Microsoft never names `offline_access` among the granted scopes; that it was granted shows in
/// the refresh token.
fn needed(provider: ProviderKind) -> &'static [&'static str] {
    match provider {
        ProviderKind::Google => &[GOOGLE_CALENDAR, GOOGLE_EMAIL],
        ProviderKind::Outlook => &[MICROSOFT_USER, MICROSOFT_CALENDARS],
    }
}

/// The needed scopes that `granted` does not cover.
pub(super) fn missing(provider: ProviderKind, granted: &[impl AsRef<str>]) -> Vec<&'static str> {
    needed(provider)
        .iter()
        .copied()
        .filter(|needed| {
            !granted
                .iter()
                .any(|one| same(provider, one.as_ref(), needed))
        })
        .collect()
}

fn same(provider: ProviderKind, granted: &str, needed: &str) -> bool {
    match provider {
        ProviderKind::Google => google_full_name(granted) == needed,
        ProviderKind::Outlook => microsoft_short_name(granted).eq_ignore_ascii_case(needed),
    }
}

/// Google has short names for the scopes that come from OpenID Connect.
fn google_full_name(scope: &str) -> &str {
    match scope {
        "email" => GOOGLE_EMAIL,
        "profile" => GOOGLE_PROFILE,
        full => full,
    }
}

/// A scope of Graph without its resource; those of other resources stay qualified, and so match
/// nothing: their token would not open Graph.
fn microsoft_short_name(scope: &str) -> &str {
    match scope.split_at_checked(MICROSOFT_GRAPH.len()) {
        Some((resource, name)) if resource.eq_ignore_ascii_case(MICROSOFT_GRAPH) => name,
        _ => scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn everything_asked_for_covers_everything_needed() {
        for provider in ProviderKind::ALL {
            assert!(missing(provider, requested(provider)).is_empty());
        }
    }

    #[test]
    fn google_may_answer_with_short_names_and_more_than_was_asked() {
        let granted = ["openid", "email", "profile", GOOGLE_CALENDAR];
        assert!(missing(ProviderKind::Google, &granted).is_empty());
    }

    #[test]
    fn an_unticked_calendar_box_is_missing() {
        let granted = [GOOGLE_EMAIL, GOOGLE_PROFILE, "openid"];
        assert_eq!(missing(ProviderKind::Google, &granted), [GOOGLE_CALENDAR]);
    }

    #[test]
    fn a_narrower_calendar_scope_does_not_cover_the_calendar() {
        let narrower = format!("{GOOGLE_CALENDAR}.events.readonly");
        let granted = [narrower.as_str(), GOOGLE_EMAIL];
        assert_eq!(missing(ProviderKind::Google, &granted), [GOOGLE_CALENDAR]);
    }

    #[test]
    fn the_profile_is_asked_for_but_can_be_done_without() {
        let granted = [GOOGLE_CALENDAR, GOOGLE_EMAIL];
        assert!(missing(ProviderKind::Google, &granted).is_empty());
    }

    #[test]
    fn microsoft_may_qualify_names_and_write_them_in_any_case() {
        let granted = [
            "HTTPS://graph.microsoft.com/calendars.readwrite",
            "user.read",
        ];
        assert!(missing(ProviderKind::Outlook, &granted).is_empty());
    }

    #[test]
    fn the_same_name_at_another_resource_does_not_count() {
        let granted = [
            "https://outlook.office.com/Calendars.ReadWrite",
            "User.Read",
        ];
        assert_eq!(
            missing(ProviderKind::Outlook, &granted),
            [MICROSOFT_CALENDARS]
        );
    }

    proptest! {
        #[test]
        fn no_text_that_names_no_scope_covers_anything(granted in prop::collection::vec("\\PC{0,40}", 0..4)) {
            prop_assume!(granted.iter().all(|scope| !scope.to_ascii_lowercase().ends_with("email")));
            for provider in ProviderKind::ALL {
                prop_assert_eq!(missing(provider, &granted).len(), needed(provider).len());
            }
        }
    }
}
