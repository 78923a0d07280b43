//! Guest lists are replaced whole by both providers: what of them is ours, and what to keep.
//!
//! Owns the merge of our one guest into a list that the coach may have added to. Guests are told
//! apart by [`Fingerprint::of_guest`], so that one who is no longer shared can be found and removed
//! without our having kept the address.

use crate::domain::{Client, Fingerprint};

/// One entry of a provider's guest list, kept as it came.
pub(super) trait Guest: Clone + PartialEq {
    fn email(&self) -> Option<&str>;
    fn invite(client: &Client) -> Self;
}

/// Which guests of an event are ours to remove.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ours<'a> {
    /// All: the event is the remains of a create of our own whose guest is not known any more.
    /// Keeping a guest here could keep a client whom the coach has since stopped sharing.
    All,
    /// Only the guest we pushed last, or may have pushed.
    Pushed(Option<&'a Fingerprint>),
}

/// The list to write, or `None` if the present one is right as it is.
pub(super) fn merge<G: Guest>(
    present: &[G],
    ours: Ours<'_>,
    wanted: Option<&Client>,
) -> Option<Vec<G>> {
    let wanted_print = wanted.map(|client| Fingerprint::of_guest(&client.email));
    let mut merged: Vec<G> = present
        .iter()
        .filter(|guest| {
            let print = print(*guest);
            let is_wanted = print.is_some() && print == wanted_print;
            is_wanted
                || match ours {
                    Ours::All => false,
                    Ours::Pushed(pushed) => !may_be(pushed, print.as_ref()),
                }
        })
        .cloned()
        .collect();
    if let Some(client) = wanted
        && !merged.iter().any(|guest| print(guest) == wanted_print)
    {
        merged.push(G::invite(client));
    }
    (merged != present).then_some(merged)
}

/// The list to write into an event that was not read, and holds nobody but the guest pushed last, if
/// anybody. `None` if that is the guest asked for: an answer given before would be lost.
pub(super) fn replace<G: Guest>(
    pushed: Option<&Fingerprint>,
    wanted: Option<&Client>,
) -> Option<Vec<G>> {
    let print = wanted.map(|client| Fingerprint::of_guest(&client.email));
    (print.as_ref() != pushed).then(|| wanted.map(G::invite).into_iter().collect())
}

/// Whether the list holds anyone who is neither the guest asked for nor the one pushed last.
pub(super) fn has_others<G: Guest>(
    present: &[G],
    pushed: Option<&Fingerprint>,
    wanted: Option<&Client>,
) -> bool {
    let wanted = wanted.map(|client| Fingerprint::of_guest(&client.email));
    present.iter().any(|guest| {
        let print = print(guest);
        print.is_none() || (print != wanted && !may_be(pushed, print.as_ref()))
    })
}

fn may_be(pushed: Option<&Fingerprint>, guest: Option<&Fingerprint>) -> bool {
    guest.is_some_and(|guest| pushed.is_some_and(|pushed| pushed.may_be(guest)))
}

fn print<G: Guest>(guest: &G) -> Option<Fingerprint> {
    guest.email().map(Fingerprint::of_guest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Entry(&'static str, &'static str);

    impl Guest for Entry {
        fn email(&self) -> Option<&str> {
            (!self.0.is_empty()).then_some(self.0)
        }

        fn invite(client: &Client) -> Self {
            match client.email.as_str() {
                "new@example.com" => Self("new@example.com", "invited"),
                _ => Self("client@example.com", "invited"),
            }
        }
    }

    fn client(email: &str) -> Client {
        Client {
            name: "A. Client".into(),
            email: email.into(),
        }
    }

    #[test]
    fn foreign_guests_stay_and_our_former_guest_goes() {
        let present = [
            Entry("partner@example.com", "accepted"),
            Entry("client@example.com", "accepted"),
            Entry("", "a room"),
        ];
        let pushed = Fingerprint::of_guest("Client@Example.com");
        let merged = merge(
            &present,
            Ours::Pushed(Some(&pushed)),
            Some(&client("new@example.com")),
        );
        assert_eq!(
            merged,
            Some(vec![
                Entry("partner@example.com", "accepted"),
                Entry("", "a room"),
                Entry("new@example.com", "invited"),
            ])
        );
        let removed = merge(&present[1..2], Ours::Pushed(Some(&pushed)), None);
        assert_eq!(removed, Some(vec![]));
    }

    #[test]
    fn a_guest_who_is_there_already_keeps_the_answer_given() {
        let present = [Entry("CLIENT@example.com", "declined")];
        let wanted = client("client@example.com");
        assert_eq!(merge(&present, Ours::Pushed(None), Some(&wanted)), None);
        assert_eq!(merge(&present, Ours::All, Some(&wanted)), None);
    }

    #[test]
    fn a_list_that_was_not_read_is_replaced_only_by_another_guest() {
        let wanted = client("client@example.com");
        let print = Fingerprint::of_guest("client@example.com");
        assert_eq!(replace::<Entry>(Some(&print), Some(&wanted)), None);
        assert_eq!(replace::<Entry>(None, None), None);

        let other = Fingerprint::of_guest("new@example.com");
        let invited = Some(vec![Entry("client@example.com", "invited")]);
        for pushed in [None, Some(&other)] {
            assert_eq!(replace(pushed, Some(&wanted)), invited);
        }
        assert_eq!(replace::<Entry>(Some(&print), None), Some(vec![]));
    }

    #[test]
    fn the_remains_of_our_own_create_keep_nobody_but_the_guest_asked_for() {
        let present = [
            Entry("client@example.com", "invited"),
            Entry("other@example.com", "invited"),
        ];
        assert_eq!(merge(&present, Ours::All, None), Some(vec![]));
        assert_eq!(
            merge(&present, Ours::All, Some(&client("client@example.com"))),
            Some(vec![Entry("client@example.com", "invited")])
        );
    }

    #[test]
    fn others_are_those_neither_asked_for_nor_pushed() {
        let present = [Entry("client@example.com", "")];
        let print = Fingerprint::of_guest("client@example.com");
        assert!(!has_others(
            &present,
            None,
            Some(&client("client@example.com"))
        ));
        assert!(!has_others(&present, Some(&print), None));
        assert!(has_others(&present, None, None));
        assert!(has_others(&[Entry("", "a room")], Some(&print), None));
    }
}
