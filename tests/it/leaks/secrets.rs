//! Texts that are recognised again, and where they turned up.

use std::collections::BTreeMap;

/// What a text is, which decides where it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Opens something, or helps to: nowhere.
    Credential,
    /// Says something of a client.
    Client,
    /// The address of a coach's account.
    Account,
}

/// A secret shorter than this might turn up by chance.
const SHORTEST: usize = 10;

/// Everything to look for, by the part of it that is written alike wherever it is written.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<String, (String, Kind)>);

impl Secrets {
    pub(super) fn add(&mut self, kind: Kind, what: &str, text: &str) {
        let part = unmistakable(text);
        assert!(part.len() >= SHORTEST, "{what} is too short to be found");
        self.0.insert(part.to_owned(), (what.to_owned(), kind));
    }

    /// How many of this kind are looked for.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.0.values().filter(|(_, of)| *of == kind).count()
    }

    /// Which of the kinds are in the text, however it writes them.
    pub(super) fn in_text(&self, text: &[u8], kinds: &[Kind]) -> Vec<String> {
        let text = String::from_utf8_lossy(text);
        let wanted = self.0.iter().filter(|(_, (_, kind))| kinds.contains(kind));
        let found = wanted.filter(|(part, _)| ways_to_write(part).any(|way| text.contains(&way)));
        found
            .map(|(part, (what, _))| format!("{what} ({part})"))
            .collect()
    }
}

/// The longest stretch that neither JSON nor an address writes in another way.
fn unmistakable(text: &str) -> &str {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let stretches = text.split(|letter| !is_plain(letter));
    stretches.max_by_key(|part| part.len()).unwrap_or_default()
}

/// As it is, as bytes in `Debug`, and as a column of bytes shows.
fn ways_to_write(part: &str) -> impl Iterator<Item = String> {
    let bytes = part.as_bytes();
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [part.to_owned(), numbers.join(", "), hex].into_iter()
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let mut secrets = Secrets::default();
    secrets.add(Kind::Credential, "a code", "4/0A-leaky_code+1");
    for text in [
        "code=4%2F0A-leaky_code%2B1".to_owned(),
        format!("{:?}", b"x0A-leaky_code"),
        format!("{:?}", "0A-leaky_code".as_bytes()),
        data_encoding::HEXLOWER.encode(b"0A-leaky_code"),
    ] {
        let found = secrets.in_text(text.as_bytes(), &[Kind::Credential]);
        assert_eq!(found, ["a code (0A-leaky_code)"], "{text}");
        assert!(secrets.in_text(text.as_bytes(), &[Kind::Client]).is_empty());
    }
    let other = secrets.in_text(b"0A-leaky-code", &[Kind::Credential]);
    assert!(other.is_empty());
}
