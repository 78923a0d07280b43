//! What the token endpoints of both providers do alike: who is the client, is the code good.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::config::OAuthClient;
use super::message::{Call, first};
use super::tokens::Code;
use super::world::World;

/// Why a token request fails, before a provider words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Unknown client or wrong secret.
    Client,
    /// A field is missing or twice named.
    Request,
    GrantType,
    /// Unknown or expired code, or one of another client or return address.
    Code,
    CodeUsed,
    Verifier,
    /// A refresh token that is unknown, revoked, idle for too long, or another client's.
    RefreshToken,
    Scope,
}

/// A request for tokens by a client that proved who it is.
#[derive(Debug)]
pub(super) struct TokenRequest {
    pub(super) client_id: String,
    pub(super) form: Vec<(String, String)>,
}

impl TokenRequest {
    /// Reads the form and checks the client, by `client_secret_post` or `client_secret_basic`.
    pub(super) fn read(call: &Call, clients: &[OAuthClient]) -> Result<Self, Refusal> {
        let form = call.form();
        let (id, secret) = match basic(call) {
            Some(pair) => pair,
            None => (
                first(&form, "client_id")
                    .ok_or(Refusal::Request)?
                    .to_owned(),
                first(&form, "client_secret").unwrap_or_default().to_owned(),
            ),
        };
        clients
            .iter()
            .find(|client| client.id == id && client.secret.expose_secret() == secret)
            .ok_or(Refusal::Client)?;
        Ok(Self {
            client_id: id,
            form,
        })
    }

    pub(super) fn field(&self, name: &str) -> Result<&str, Refusal> {
        first(&self.form, name)
            .filter(|value| !value.is_empty())
            .ok_or(Refusal::Request)
    }

    /// Redeems the code of an authorization-code request.
    pub(super) fn redeem(&self, world: &mut World, call: &Call) -> Result<Code, Refusal> {
        let redirect_uri = self.field("redirect_uri")?;
        let code = world
            .tokens
            .redeem(self.field("code")?, call.at.now)
            .ok_or(Refusal::Code)?;
        if code.used {
            return Err(Refusal::CodeUsed);
        }
        if code.grant.client_id != self.client_id || code.redirect_uri != redirect_uri {
            return Err(Refusal::Code);
        }
        if let Some(challenge) = &code.challenge {
            let verifier = self.field("code_verifier").map_err(|_| Refusal::Verifier)?;
            world.tokens.proved(self.field("code")?, verifier);
            // RFC 7636, section 4.6.
            if BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes())) != *challenge {
                return Err(Refusal::Verifier);
            }
        }
        Ok(code)
    }
}

/// Client id and secret of an `Authorization: Basic` header, each form-encoded (RFC 6749, 2.3.1).
fn basic(call: &Call) -> Option<(String, String)> {
    let encoded = call.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        url::form_urlencoded::parse(format!("x={part}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

/// An ID token in the usual form. Its signature is random: there are no keys to check it with.
pub(super) fn id_token(world: &World, claims: &serde_json::Value) -> String {
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "simulated"});
    format!(
        "{}.{}.{}",
        BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
        BASE64URL_NOPAD.encode(claims.to_string().as_bytes()),
        super::random::token(world.entropy.as_ref(), "", 64),
    )
}
