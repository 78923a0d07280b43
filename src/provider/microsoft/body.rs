//! The text of an event that became an online meeting: ours anew, the join block kept. Pure.
//!
//! Outlook keeps the way into a meeting inside the event's body, and a body that is written
//! without it loses it. The block stands between two rules of underscores around the join address.
//! Everything outside it is text of ours from before and is dropped: it may hold client details
//! that are being taken back.

/// Outlook's rule has 80 underscores; this many are no accident either.
const SHORTEST_RULE: usize = 20;

/// Our text as HTML, followed by the join block of `present`, or else by a link to the meeting.
pub(super) fn with_join_block(text: &str, present: &str, join_url: Option<&str>) -> String {
    let mut html = to_html(text);
    let Some(join_url) = join_url.filter(|url| url.starts_with("https://")) else {
        return html;
    };
    html.push_str("<br>\n");
    match join_block(present, join_url) {
        Some(block) => html.push_str(block),
        None => {
            let url = escape(join_url);
            html.push_str(&format!("<a href=\"{url}\">{url}</a>"));
        }
    }
    html
}

/// From the last rule before the join address to the first one after it. Text of ours may name the
/// address too and stands before the block: the last address between two rules is the block's.
fn join_block<'a>(html: &'a str, join_url: &str) -> Option<&'a str> {
    let escaped = escape(join_url);
    html.rmatch_indices(&escaped)
        .chain(html.rmatch_indices(join_url))
        .find_map(|(address, _)| {
            let start = rules(&html[..address]).last()?.start;
            let end = rules(&html[address..]).next()?.end + address;
            Some(&html[start..end])
        })
}

/// Runs of underscores, as byte ranges.
fn rules(html: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut position = 0;
    html.split_inclusive(|char| char != '_')
        .map(move |piece| {
            let length = piece.len() - piece.trim_start_matches('_').len();
            let range = position..position + length;
            position += piece.len();
            range
        })
        .filter(|range| range.len() >= SHORTEST_RULE)
}

fn to_html(text: &str) -> String {
    let lines: Vec<String> = text
        .replace("\r\n", "\n")
        .split(['\n', '\r'])
        .map(escape)
        .collect();
    lines.join("<br>\n")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JOIN: &str = "https://teams.example/l/meetup-join/19%3a1?context=%7b%7d&tenant=1";
    const LINK: &str = "<br>\n<a href=\"https://teams.example/l/meetup-join/19%3a1?context=%7b%7d&amp;tenant=1\">https://teams.example/l/meetup-join/19%3a1?context=%7b%7d&amp;tenant=1</a>";

    fn rule() -> String {
        "_".repeat(80)
    }

    fn block(address: &str) -> String {
        format!(
            "{}</span><p>Join: <a href=\"{address}\">here</a></p><span>{}",
            rule(),
            rule()
        )
    }

    #[test]
    fn the_join_block_stays_and_every_former_word_goes() {
        for address in [JOIN.to_owned(), JOIN.replace('&', "&amp;")] {
            let kept = block(&address);
            let present = format!(
                "<html><body>Old notes {} of Anna, {JOIN}<br><div>{kept}</div>Anna again {}</body></html>",
                rule(),
                rule()
            );
            assert_eq!(
                with_join_block("New\ntext", &present, Some(JOIN)),
                format!("New<br>\ntext<br>\n{kept}")
            );
        }
    }

    #[test]
    fn without_a_block_a_link_to_the_meeting_is_added() {
        for present in [
            "".to_owned(),
            "Old notes of Anna".to_owned(),
            format!("Anna {} no address {}", rule(), rule()),
            format!("Anna {} {JOIN} and no second rule", rule()),
            format!("Anna {JOIN} {} too late", rule()),
            format!("Anna ___ {JOIN} ___"),
        ] {
            assert_eq!(
                with_join_block("T", &present, Some(JOIN)),
                format!("T{LINK}")
            );
        }
    }

    #[test]
    fn writing_twice_gives_the_same() {
        for present in [block(JOIN), "no block".to_owned()] {
            let once = with_join_block("Text", &present, Some(JOIN));
            assert_eq!(with_join_block("Text", &once, Some(JOIN)), once);
        }
    }

    #[test]
    fn an_address_that_is_missing_or_not_of_the_web_is_not_linked() {
        assert_eq!(with_join_block("T", "old", None), "T");
        assert_eq!(
            with_join_block("T", "old", Some("javascript:alert(1)")),
            "T"
        );
    }

    #[test]
    fn markup_in_our_text_stays_text() {
        assert_eq!(
            to_html("<b>\"R&D\"</b>\r\nשלום\r更多"),
            "&lt;b&gt;&quot;R&amp;D&quot;&lt;/b&gt;<br>\nשלום<br>\n更多"
        );
    }

    proptest! {
        #[test]
        fn any_text_around_the_block_is_dropped(
            before in "[^_]{0,80}", after in "[^_]{0,80}", text in any::<String>(),
        ) {
            let kept = block(JOIN);
            let present = format!("{before}{kept}{after}");
            let html = with_join_block(&text, &present, Some(JOIN));
            prop_assert_eq!(html, format!("{}<br>\n{kept}", to_html(&text)));
        }
    }
}
