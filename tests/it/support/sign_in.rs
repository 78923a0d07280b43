//! A coach's browser: begins a sign-in, agrees on the consent page, and comes back.

use calendar_integration::domain::{CoachId, ProviderKind};
use calendar_integration::security::api_token::Caller;
use reqwest::{Method, RequestBuilder};
use url::Url;
use uuid::Uuid;

use super::api::text;
use super::daemon::PUBLIC_URL;
use super::{Reply, TestDaemon};

/// What the coach does on the consent page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Consent {
    Allow,
    Deny,
}

/// A browser with its cookies.
pub(crate) struct Browser<'a> {
    daemon: &'a TestDaemon,
    /// Where the daemon is.
    url: Url,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(daemon: &'a TestDaemon) -> Self {
        Self::at(daemon, daemon.url())
    }

    /// One that visits another process with the settings of `daemon`.
    pub(crate) fn at(daemon: &'a TestDaemon, url: Url) -> Self {
        Self {
            daemon,
            url,
            cookie: None,
        }
    }

    /// The value of its cookie.
    pub(crate) fn cookie(&self) -> Option<&str> {
        let (_, value) = self.cookie.as_deref()?.split_once('=')?;
        Some(value)
    }

    /// Asks for a sign-in as this coach; answers the address of the consent page.
    pub(crate) async fn begin(&mut self, provider: ProviderKind, coach: Uuid, more: &str) -> Url {
        let path = format!("connect/{provider}/{coach}?{more}");
        let caller = Some(Caller::Coach(CoachId(coach)));
        let api = self.daemon.api_at(self.url.clone(), caller);
        let request = api.request(Method::GET, &path);
        let reply = Reply::read(self.with_cookie(request)).await;
        self.keep_cookie(&reply);
        let address = match reply.status {
            302 => reply.header("location").expect("an address").to_owned(),
            _ => text(&reply.expect(200)["authorization_url"]),
        };
        Url::parse(&address).expect("an address")
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    fn keep_cookie(&mut self, reply: &Reply) {
        let cookie = reply.header("set-cookie").expect("a cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
        self.cookie = cookie.split(';').next().map(str::to_owned);
    }

    /// Answers the consent page; where the provider sends the browser then.
    pub(crate) async fn decide(&self, consent_page: Url, email: &str, consent: Consent) -> Url {
        let decision = match consent {
            Consent::Allow => "allow",
            Consent::Deny => "deny",
        };
        let form = [("account", email), ("decision", decision)];
        let request = self.daemon.http.post(consent_page).form(&form);
        let reply = Reply::read(request).await;
        assert_eq!(reply.status, 302, "{}", reply.text);
        Url::parse(reply.header("location").expect("an address")).expect("an address")
    }

    /// Follows the provider's redirect to the callback; where the daemon sends the browser then.
    pub(crate) async fn come_back(&self, callback: &Url) -> Url {
        let rest = callback.as_str().strip_prefix(PUBLIC_URL);
        let path = rest.expect("the provider sends the browser to our public address");
        let here = self.url.join(path).expect("a path");
        let request = self.daemon.http.get(here);
        let reply = Reply::read(self.with_cookie(request)).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        Url::parse(reply.header("location").expect("an address")).expect("an address")
    }

    /// The whole way; where the browser ends.
    pub(crate) async fn sign_in(
        &mut self,
        provider: ProviderKind,
        coach: Uuid,
        email: &str,
        consent: Consent,
    ) -> Url {
        let page = self.begin(provider, coach, "").await;
        let callback = self.decide(page, email, consent).await;
        self.come_back(&callback).await
    }
}

impl TestDaemon {
    /// Connects an account; the id of the connection.
    pub(crate) async fn connect(&self, provider: ProviderKind, coach: Uuid, email: &str) -> Uuid {
        let mut browser = Browser::new(self);
        let end = browser
            .sign_in(provider, coach, email, Consent::Allow)
            .await;
        let id = parameter(&end, "connection_id");
        assert_eq!(
            parameter(&end, "success").as_deref(),
            Some("connected"),
            "{end}"
        );
        id.and_then(|id| id.parse().ok()).expect("a connection id")
    }
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
