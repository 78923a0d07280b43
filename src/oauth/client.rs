//! One provider's authorization server, as a client of it.
//!
//! The `oauth2` crate writes the requests and reads what is granted, `transport` carries them, and
//! `refusal` reads what is refused.

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, StandardRevocableToken,
    TokenUrl,
};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::grant::TokenAnswer;
use super::refusal::{Refusal, unreadable};
use super::transport::{CallFailure, Transport};
use super::{ExchangeFailure, Grant, OAuthEndpoints, scopes};
use crate::domain::{Clock, ProviderKind, ReauthReason, SyncFailure};
use crate::failpoint::{self, Step};
use crate::provider::http;

/// The crate's client, with our own reading of what is granted.
type ProtocolClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A client of one provider's authorization server. Keeps no state between calls.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    provider: ProviderKind,
    http: reqwest::Client,
    protocol: ProtocolClient,
    revoke: Option<Url>,
}

impl OAuthClient {
    /// `http` comes from [`http::client`]; `redirect` must be registered at Google letter by letter.
    pub fn google(
        http: reqwest::Client,
        client_id: String,
        client_secret: &SecretString,
        redirect: Url,
        endpoints: OAuthEndpoints,
    ) -> Self {
        let provider = ProviderKind::Google;
        Self::new(
            provider,
            http,
            client_id,
            client_secret,
            redirect,
            endpoints,
        )
    }

    /// As [`google`](Self::google), with the endpoints of `tenant` below `login`.
    pub fn microsoft(
        http: reqwest::Client,
        client_id: String,
        client_secret: &SecretString,
        redirect: Url,
        login: &Url,
        tenant: &str,
    ) -> Self {
        let provider = ProviderKind::Outlook;
        let endpoints = OAuthEndpoints::microsoft(login, tenant);
        Self::new(
            provider,
            http,
            client_id,
            client_secret,
            redirect,
            endpoints,
        )
    }

    fn new(
        provider: ProviderKind,
        http: reqwest::Client,
        client_id: String,
        client_secret: &SecretString,
        redirect: Url,
        endpoints: OAuthEndpoints,
    ) -> Self {
        let protocol = Client::new(ClientId::new(client_id))
            .set_client_secret(ClientSecret::new(client_secret.expose_secret().to_owned()))
            // In the body: what both providers document first, and free of the double encoding
            // that the header form needs and servers get wrong.
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(endpoints.authorize))
            .set_token_uri(TokenUrl::from_url(endpoints.token))
            .set_redirect_uri(RedirectUrl::from_url(redirect));
        Self {
            provider,
            http,
            protocol,
            revoke: endpoints.revoke,
        }
    }

    pub fn provider(&self) -> ProviderKind {
        self.provider
    }

    pub(super) fn protocol(&self) -> &ProtocolClient {
        &self.protocol
    }

    fn transport<'a>(&'a self, clock: &'a dyn Clock) -> Transport<'a> {
        Transport {
            http: &self.http,
            clock,
        }
    }

    /// The scopes a connection needs that `granted` does not cover, whatever its spelling.
    pub fn missing_scopes(&self, granted: &[impl AsRef<str>]) -> Vec<&'static str> {
        scopes::missing(self.provider, granted)
    }

    /// Turns the code of a finished sign-in into lasting access that covers what is needed.
    ///
    /// A grant that falls short is left alone at the provider: revoking it would end every other
    /// connection of that account as well.
    pub async fn exchange(
        &self,
        code: &SecretString,
        verifier: &SecretString,
        clock: &dyn Clock,
    ) -> Result<Grant, ExchangeFailure> {
        let asked_at = clock.now();
        let mut request = self
            .protocol
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
        match self.provider {
            ProviderKind::Google => {}
            ProviderKind::Outlook => {
                request =
                    request.add_extra_param("scope", scopes::requested(self.provider).join(" "));
            }
        }
        let transport = self.transport(clock);
        failpoint::before(Step::Exchange).map_err(CallFailure::from)?;
        let answer = request
            .request_async(&transport)
            .await
            .map_err(|error| ExchangeFailure::from(CallFailure::from(error)))?;
        failpoint::after(Step::Exchange).map_err(CallFailure::from)?;
        let grant = answer
            .into_grant(self.provider, asked_at)
            .ok_or_else(|| ExchangeFailure::Provider(unreadable()))?;
        let missing = self.missing_scopes(&grant.scopes);
        if !missing.is_empty() {
            return Err(ExchangeFailure::InsufficientScope { missing });
        }
        if grant.refresh_token.is_none() {
            return Err(ExchangeFailure::NoRefreshToken);
        }
        Ok(grant)
    }

    /// Fetches a new access token.
    ///
    /// A grant that no longer covers what is needed is as good as none.
    ///
    /// A grant without refresh token leaves the stored one in force (Google); one with it replaces
    /// the stored one (Microsoft, every time). The caller sees to it that a connection has one
    /// refresh at a time: two would race over two new tokens.
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        clock: &dyn Clock,
    ) -> Result<Grant, SyncFailure> {
        let asked_at = clock.now();
        let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        // The provider would call an empty token a malformed request, which reads as our fault.
        if refresh_token.secret().is_empty() {
            return Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused));
        }
        let mut request = self.protocol.exchange_refresh_token(&refresh_token);
        match self.provider {
            ProviderKind::Google => {}
            ProviderKind::Outlook => {
                let asked = scopes::requested(self.provider).iter();
                request = request.add_scopes(asked.map(|&scope| Scope::new(scope.to_owned())));
            }
        }
        let transport = self.transport(clock);
        failpoint::before(Step::Refresh)?;
        let answer = request
            .request_async(&transport)
            .await
            .map_err(|error| SyncFailure::from(CallFailure::from(error)))?;
        failpoint::after(Step::Refresh)?;
        let grant = answer
            .into_grant(self.provider, asked_at)
            .ok_or_else(unreadable)?;
        // Calls with it would be denied one by one, and at Microsoft in words that also speak of a
        // single calendar.
        if !self.missing_scopes(&grant.scopes).is_empty() {
            return Err(SyncFailure::NeedsReauth(ReauthReason::ScopeMissing));
        }
        Ok(grant)
    }

    /// Ends the grant at the provider; `true` if it is ended there, `false` if this provider offers
    /// no way to (Microsoft). At Google it ends every grant of that account for our project.
    ///
    /// Written here and not by the crate, which refuses any revocation endpoint without TLS, and
    /// so the simulated one.
    pub async fn revoke(
        &self,
        token: &SecretString,
        clock: &dyn Clock,
    ) -> Result<bool, SyncFailure> {
        let Some(revoke) = &self.revoke else {
            return Ok(false);
        };
        let form = [("token", token.expose_secret())];
        failpoint::before(Step::Revoke)?;
        let answer = http::send(self.http.post(revoke.clone()).form(&form)).await?;
        failpoint::after(Step::Revoke)?;
        if answer.status == StatusCode::OK {
            return Ok(true);
        }
        match Refusal::read(&answer, clock.now()) {
            // Ended before: by the coach, or with another connection of the account.
            Refusal::GrantRefused => Ok(true),
            refusal => Err(refusal.into_failure()),
        }
    }
}
