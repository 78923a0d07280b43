//! One name for a request, in its answer and in every log line about it.

use poem::Request;
use poem::http::HeaderValue;

use crate::domain::Entropy;

pub(super) const HEADER: &str = "x-request-id";
const MAX_LENGTH: usize = 64;

/// The caller's own id if it is one, else a fresh one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct RequestId(String);

impl RequestId {
    pub(super) fn of(request: &Request, entropy: &dyn Entropy) -> Self {
        let sent = request.header(HEADER).filter(|text| is_sane(text));
        Self(sent.map_or_else(|| fresh(entropy), str::to_owned))
    }

    pub(in crate::api) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }
}

/// It ends up in a header and in log lines: nothing that could break either.
fn is_sane(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn fresh(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;

    #[test]
    fn a_callers_id_is_kept_only_if_it_can_do_no_harm() {
        let entropy = SeededEntropy::from_seed(1);
        let of = |text: &str| {
            let request = Request::builder().header(HEADER, text).finish();
            RequestId::of(&request, &entropy)
        };
        assert_eq!(of("booking-42").as_str(), "booking-42");
        for text in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(of(text).as_str().len(), 32, "{text}");
        }
    }
}
