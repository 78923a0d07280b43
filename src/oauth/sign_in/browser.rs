//! The cookie that ties a callback to the browser that began the sign-in.
//!
//! Without it, a state made in one browser could be finished in another: somebody could have their
//! own calendar connected to a stranger's coach account, or the other way round (RFC 9700,
//! section 4.7). One cookie serves several sign-ins, so that two tabs do not get in each other's way.

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};

use super::state::hash;
use crate::domain::Entropy;

const NAME: &str = "calendar_sign_in";
const BYTES: usize = 32;

/// A browser, known by 32 random bytes in its cookie.
#[derive(Clone)]
pub struct Browser(SecretString);

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Browser(redacted)")
    }
}

impl Browser {
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; BYTES];
        entropy.fill(&mut bytes);
        Self(BASE64URL_NOPAD.encode(&bytes).into())
    }

    /// The browser that the `Cookie` headers of a request name; `None` if they hold no cookie of
    /// ours, or one that we did not make.
    pub fn of_cookies<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let pairs = headers.into_iter().flat_map(|header| header.split(';'));
        let value = pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == NAME).then_some(value))?;
        let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        (bytes.len() == BYTES).then(|| Self(value.to_owned().into()))
    }

    /// The value of `Set-Cookie`. `Lax`, because the provider's redirect is a visit from elsewhere.
    pub fn set_cookie(&self, path: &str, secure: bool, max_age_seconds: i64) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!(
            "{NAME}={}; Path={path}; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}",
            self.0.expose_secret()
        )
    }

    pub(super) fn hash(&self) -> String {
        hash(self.0.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;

    #[test]
    fn a_cookie_comes_back_as_the_same_browser() {
        let browser = Browser::new(&SeededEntropy::from_seed(1));
        let cookie = browser.set_cookie("/api/calendar-integration", true, 600);
        assert!(cookie.ends_with(
            "; Path=/api/calendar-integration; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        ));
        let pair = cookie.split(';').next().expect("a pair");
        let header = format!("theme=dark; {pair}; x");
        let found = Browser::of_cookies([header.as_str()]).expect("ours");
        assert_eq!(found.hash(), browser.hash());
        assert!(!browser.set_cookie("/", false, 1).contains("Secure"));
    }

    #[test]
    fn no_cookie_that_we_did_not_make_is_taken() {
        for header in [
            "",
            "calendar_sign_in",
            "calendar_sign_in=",
            "calendar_sign_in=short",
            "calendar_sign_in=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
            "x_calendar_sign_in=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(Browser::of_cookies([header]).is_none(), "{header}");
        }
    }
}
