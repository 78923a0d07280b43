//! HTML to text and back, as far as event bodies need it.

/// Plain text as HTML: escaped, line breaks kept.
pub(super) fn from_text(text: &str) -> String {
    super::page::escape(text)
        .replace("\r\n", "\n")
        .replace('\n', "<br>\r\n")
}

/// What a reader sees of HTML: no tags, entities resolved, blocks and breaks on lines of their own.
pub(super) fn to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(position) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at(position);
        push_words(&mut text, before);
        rest = if from.starts_with('<') {
            tag(&mut text, from)
        } else {
            entity(&mut text, from)
        };
    }
    push_words(&mut text, rest);
    text.trim().to_owned()
}

/// Line ends in HTML mean nothing.
fn push_words(text: &mut String, words: &str) {
    text.extend(words.chars().filter(|c| !matches!(c, '\r' | '\n')));
}

fn tag<'a>(text: &mut String, from: &'a str) -> &'a str {
    let Some(end) = from.find('>') else {
        text.push_str(from);
        return "";
    };
    let (tag, rest) = from.split_at(end + 1);
    let name: String = tag
        .trim_start_matches(['<', '/'])
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    match name.as_str() {
        "br" | "p" | "div" => {
            if !text.is_empty() && (name == "br" || !text.ends_with('\n')) {
                text.push('\n');
            }
            rest
        }
        // Nothing in a head is shown.
        "head" if !tag.starts_with("</") => rest
            .find("</head>")
            .and_then(|end| rest.get(end..))
            .unwrap_or(""),
        _ => rest,
    }
}

fn entity<'a>(text: &mut String, from: &'a str) -> &'a str {
    let known = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&apos;", '\''),
        ("&nbsp;", ' '),
    ];
    for (name, character) in known {
        if let Some(rest) = from.strip_prefix(name) {
            text.push(character);
            return rest;
        }
    }
    text.push('&');
    from.get(1..).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_from_its_own_markup() {
        let text = "Bring <b>\"notes\"</b> & tea\nJoin: https://x.example/?a=1&b=2";
        assert_eq!(to_text(&from_text(text)), text);
    }

    #[test]
    fn heads_and_tags_are_not_shown() {
        let page = "<html><head><style>p{}</style></head><body><p>One</p><p>Two</p></body></html>";
        assert_eq!(to_text(page), "One\nTwo");
    }
}
