//! What nodes tell each other: notes of one line each, several to a message.
//!
//! A line that this version does not know is passed over: during an update, newer nodes may say more.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::{ConnectionId, NodeId};

/// PostgreSQL refuses 8,000 bytes and more.
const MOST_BYTES: usize = 7_900;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// There is something due for these connections of that node.
    Wake(NodeId, Vec<ConnectionId>),
    /// There is more due than fits a message: that node looks into the database, or every node.
    Look(Option<NodeId>),
    /// Who is alive, or what a provider refuses to all, has changed.
    Census,
    /// What these connections and coaches show may have changed, that node says; none named: anything.
    Changed(NodeId, Vec<Uuid>),
    /// That node listens to itself.
    Echo(NodeId, u64),
}

/// As many notes as fit; what does not is no longer named: connections become a [`Note::Look`].
pub(super) fn encode(notes: &[Note]) -> String {
    let text = write(notes);
    if text.len() <= MOST_BYTES {
        return text;
    }
    let shorter: Vec<Note> = notes
        .iter()
        .map(|note| match note {
            Note::Wake(node, _) => Note::Look(Some(*node)),
            Note::Changed(node, _) => Note::Changed(*node, Vec::new()),
            Note::Look(_) | Note::Census | Note::Echo(..) => note.clone(),
        })
        .collect();
    let text = write(&shorter);
    if text.len() <= MOST_BYTES {
        return text;
    }
    // More owners than lines: everyone looks, at both. A node speaks of changes for itself alone.
    let changed = |note: &Note| matches!(note, Note::Changed(..));
    let changed = shorter.into_iter().find(changed);
    let notes = [Note::Look(None), Note::Census].into_iter().chain(changed);
    write(&notes.collect::<Vec<_>>())
}

fn write(notes: &[Note]) -> String {
    notes.iter().map(line).collect()
}

fn line(note: &Note) -> String {
    match note {
        Note::Wake(node, ids) => {
            let ids: String = ids.iter().map(|id| format!(" {}", id.0.simple())).collect();
            format!("wake {}{ids}\n", node.0.simple())
        }
        Note::Look(Some(node)) => format!("look {}\n", node.0.simple()),
        Note::Look(None) => "look\n".to_owned(),
        Note::Census => "census\n".to_owned(),
        Note::Changed(node, ids) => {
            let ids: String = ids.iter().map(|id| format!(" {}", id.simple())).collect();
            format!("changed {}{ids}\n", node.0.simple())
        }
        Note::Echo(node, nonce) => format!("echo {} {nonce}\n", node.0.simple()),
    }
}

pub(super) fn decode(text: &str) -> Vec<Note> {
    text.lines().filter_map(decode_line).collect()
}

fn decode_line(line: &str) -> Option<Note> {
    let mut words = line.split_ascii_whitespace();
    match words.next()? {
        "wake" => {
            let node = words.next()?.parse().ok()?;
            Some(Note::Wake(
                node,
                words.filter_map(|id| id.parse().ok()).collect(),
            ))
        }
        "look" => match words.next() {
            Some(node) => Some(Note::Look(Some(node.parse().ok()?))),
            None => Some(Note::Look(None)),
        },
        "census" => Some(Note::Census),
        "changed" => {
            let node = words.next()?.parse().ok()?;
            let ids = words.filter_map(|id| id.parse().ok());
            Some(Note::Changed(node, ids.collect()))
        }
        "echo" => Some(Note::Echo(
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
        )),
        _ => None,
    }
}

/// One note per owner.
pub(super) fn wakes(owned: impl IntoIterator<Item = (NodeId, ConnectionId)>) -> Vec<Note> {
    let mut by_owner: BTreeMap<NodeId, Vec<ConnectionId>> = BTreeMap::new();
    for (owner, id) in owned {
        by_owner.entry(owner).or_default().push(id);
    }
    by_owner
        .into_iter()
        .map(|(owner, ids)| Note::Wake(owner, ids))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn a_note() -> impl Strategy<Value = Note> {
        let node = || any::<u128>().prop_map(|id| NodeId(Uuid::from_u128(id)));
        let id = any::<u128>().prop_map(|id| ConnectionId(Uuid::from_u128(id)));
        prop_oneof![
            (node(), prop::collection::vec(id, 0..400))
                .prop_map(|(node, ids)| Note::Wake(node, ids)),
            prop::option::of(node()).prop_map(Note::Look),
            (
                node(),
                prop::collection::vec(any::<u128>().prop_map(Uuid::from_u128), 1..400)
            )
                .prop_map(|(node, ids)| Note::Changed(node, ids)),
            Just(Note::Census),
            (node(), any::<u64>()).prop_map(|(node, nonce)| Note::Echo(node, nonce)),
        ]
    }

    proptest! {
        #[test]
        fn a_message_always_fits_and_still_reaches_whoever_was_meant(
            notes in prop::collection::vec(a_note(), 1..30),
        ) {
            let text = encode(&notes);
            prop_assert!(text.len() <= MOST_BYTES);
            let heard = decode(&text);
            for note in &notes {
                let arrived = heard.contains(note)
                    || heard.contains(&Note::Look(None))
                    || matches!(note, Note::Wake(node, _) if heard.contains(&Note::Look(Some(*node))))
                    || matches!(note, Note::Changed(node, _)
                        if heard.contains(&Note::Changed(*node, Vec::new())));
                prop_assert!(arrived, "{note:?} in {text}");
            }
        }

        #[test]
        fn any_text_is_read_without_complaint(text in ".{0,200}") {
            decode(&text);
        }
    }

    #[test]
    fn so_many_owners_that_not_even_their_names_fit_are_all_told_to_look() {
        let one = ConnectionId(Uuid::from_u128(1));
        let owned = (0..1_000).map(|node| (NodeId(Uuid::from_u128(node)), one));
        let heard = decode(&encode(&wakes(owned)));
        assert_eq!(heard, [Note::Look(None), Note::Census]);
    }
}
