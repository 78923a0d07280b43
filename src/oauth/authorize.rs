//! The first step: the address of the consent screen.

use data_encoding::BASE64URL_NOPAD;
use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier, Scope};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::OAuthClient;
use super::scopes;
use crate::domain::{Entropy, ProviderKind};

/// A sign-in that was begun.
pub struct Authorization {
    /// Where to send the browser. Holds the state: to be handed out, not logged.
    pub url: Url,
    /// Comes back with the code; works once.
    pub state: SecretString,
    /// Proves at the exchange that it was we who asked (RFC 7636). Never leaves us before.
    pub verifier: SecretString,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(redacted)")
    }
}

impl OAuthClient {
    /// Begins a sign-in with fresh state and verifier.
    pub fn authorize(&self, entropy: &dyn Entropy) -> Authorization {
        let state = random_word(entropy);
        let verifier = random_word(entropy);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose_secret().to_owned(),
        ));
        let mut request = self
            .protocol()
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .set_pkce_challenge(challenge)
            .add_scopes(
                scopes::requested(self.provider())
                    .iter()
                    .map(|&scope| Scope::new(scope.to_owned())),
            );
        for &(name, value) in extra_parameters(self.provider()) {
            request = request.add_extra_param(name, value);
        }
        let (url, _) = request.url();
        Authorization {
            url,
            state,
            verifier,
        }
    }
}

fn extra_parameters(provider: ProviderKind) -> &'static [(&'static str, &'static str)] {
    match provider {
        // Both are needed for a refresh token: the first asks for one at all, the second asks again
        // where consent was given before. `include_granted_scopes` is left out: it can let an old,
        // incomplete grant pass without showing the boxes again.
        ProviderKind::Google => &[("access_type", "offline"), ("prompt", "consent")],
        // A coach may connect several accounts, and the browser is signed in to one. Consent is
        // not forced: a refresh token comes with `offline_access` at every sign-in.
        ProviderKind::Outlook => &[("response_mode", "query"), ("prompt", "select_account")],
    }
}

/// 32 random bytes as 43 characters: the shortest verifier RFC 7636 allows, and 256 bits.
fn random_word(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{google_at, microsoft_at};
    use super::*;
    use crate::domain::SeededEntropy;

    fn query(authorization: &Authorization) -> HashMap<String, String> {
        authorization.url.query_pairs().into_owned().collect()
    }

    fn server() -> Url {
        "http://127.0.0.1:9".parse().expect("an address")
    }

    #[test]
    fn google_is_asked_for_lasting_access_every_time() {
        let authorization = google_at(&server()).authorize(&SeededEntropy::from_seed(1));
        let query = query(&authorization);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "client");
        assert_eq!(query["access_type"], "offline");
        assert_eq!(query["prompt"], "consent");
        assert_eq!(
            query["scope"],
            "https://www.googleapis.com/auth/calendar \
             https://www.googleapis.com/auth/userinfo.email \
             https://www.googleapis.com/auth/userinfo.profile"
        );
        assert_eq!(query["redirect_uri"], "http://localhost/callback");
        assert_eq!(query["state"], authorization.state.expose_secret());
        assert!(!query.contains_key("include_granted_scopes"));
    }

    #[test]
    fn microsoft_lets_the_coach_choose_the_account() {
        let authorization = microsoft_at(&server()).authorize(&SeededEntropy::from_seed(1));
        let query = query(&authorization);
        assert_eq!(authorization.url.path(), "/common/oauth2/v2.0/authorize");
        assert_eq!(query["prompt"], "select_account");
        assert_eq!(query["response_mode"], "query");
        assert_eq!(
            query["scope"],
            "offline_access User.Read Calendars.ReadWrite"
        );
    }

    #[test]
    fn the_challenge_is_the_hash_of_a_verifier_that_stays_here() {
        use sha2::{Digest, Sha256};
        let authorization = google_at(&server()).authorize(&SeededEntropy::from_seed(1));
        let verifier = authorization.verifier.expose_secret();
        let query = query(&authorization);
        assert_eq!(verifier.len(), 43);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(
            query["code_challenge"],
            BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()))
        );
        assert!(!authorization.url.as_str().contains(verifier));
        assert!(!format!("{authorization:?}").contains(authorization.state.expose_secret()));
    }

    #[test]
    fn every_sign_in_has_its_own_secrets() {
        let entropy = SeededEntropy::from_seed(1);
        let client = google_at(&server());
        let (first, second) = (client.authorize(&entropy), client.authorize(&entropy));
        let words = [
            &first.state,
            &first.verifier,
            &second.state,
            &second.verifier,
        ];
        let distinct: std::collections::HashSet<_> =
            words.iter().map(|word| word.expose_secret()).collect();
        assert_eq!(distinct.len(), words.len());
    }
}
