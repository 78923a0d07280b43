//! What is an e-mail address: what a calendar can invite.
//!
//! Narrower than what the RFCs allow. Google and Microsoft take an address alone, without a name around
//! it, and send to hosts of the public internet: to no address in brackets, and to no single word such
//! as `localhost`, which means another host at each of us.

use email_address::{EmailAddress, Options};

/// RFC 5321, section 4.5.3.1.3: a path of 256 octets, its angle brackets among them.
const MAX_EMAIL_BYTES: usize = 254;

const ADDRESS_ALONE: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
};

/// Says what is allowed, and fits behind "must be".
pub const EMAIL_RULE: &str =
    "an e-mail address alone, such as client@example.com, of at most 254 characters";

pub fn is_email(text: &str) -> bool {
    text.len() <= MAX_EMAIL_BYTES
        // In quotes both would be right, and the parser reads ` <a@example.com>` as having no name.
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && EmailAddress::parse_with_options(text, ADDRESS_ALONE).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_nothing_but_an_address() {
        let longest = format!("{}@{}.example", "a".repeat(64), ["b"; 91].join("."));
        assert_eq!(longest.len(), MAX_EMAIL_BYTES);
        for text in [
            "client@example.com",
            "o'brien+act@mail.example.co.uk",
            "zoë@bücher.example",
            "\"zoe\"@example.com",
            longest.as_str(),
        ] {
            assert!(is_email(text), "{text}");
        }
        let too_long = format!("{}@{}.example", "a".repeat(64), ["b"; 92].join("."));
        for text in [
            "",
            "client",
            "@example.com",
            "client@",
            "client@localhost",
            "client@[192.0.2.1]",
            "client@example.com ",
            "client@example..com",
            "Zoe <client@example.com>",
            "Zoe\u{0} <client@example.com>",
            "<client@example.com>",
            " <client@example.com>",
            "\n <client@example.com>",
            "\"zoe z\"@example.com",
            "\"zoe\u{0}\"@example.com",
            "cli\u{85}ent@example.com",
            "client@exam\u{0}ple.com",
            too_long.as_str(),
        ] {
            assert!(!is_email(text), "{text:?}");
        }
    }
}
