//! Building the configured providers.

use std::sync::Arc;

use crate::config::Config;
use crate::connections::{Service, Services};
use crate::domain::{Clock, ProviderKind};
use crate::oauth::{OAuthClient, OAuthEndpoints};
use crate::provider::google::{GoogleCalendar, GoogleEndpoints};
use crate::provider::microsoft::{GraphEndpoints, MicrosoftGraph};

/// The providers whose client id and secret are set.
pub(super) fn services(
    config: &Config,
    http: &reqwest::Client,
    clock: &Arc<dyn Clock>,
) -> Services {
    let mut services = Services::new();
    if let Some(google) = &config.google {
        let api = GoogleCalendar::new(
            http.clone(),
            GoogleEndpoints {
                api: google.api_url.clone(),
                userinfo: google.userinfo_url.clone(),
            },
            clock.clone(),
        );
        let oauth = OAuthClient::google(
            http.clone(),
            google.client_id.clone(),
            &google.client_secret,
            google.redirect_uri.clone(),
            OAuthEndpoints {
                authorize: google.auth_url.clone(),
                token: google.token_url.clone(),
                revoke: Some(google.revoke_url.clone()),
            },
        );
        let limits = google.limits;
        services.insert(
            ProviderKind::Google,
            Service::new(
                Arc::new(api),
                oauth,
                limits.per_user,
                Some(limits.per_project),
                clock,
            ),
        );
    }
    if let Some(microsoft) = &config.microsoft {
        let limits = microsoft.limits;
        let concurrency = limits.concurrency_per_mailbox.get();
        let api = MicrosoftGraph::new(
            http.clone(),
            GraphEndpoints {
                graph: microsoft.graph_url.clone(),
                concurrency_per_mailbox: usize::try_from(concurrency).unwrap_or(1),
            },
            clock.clone(),
        );
        let oauth = OAuthClient::microsoft(
            http.clone(),
            microsoft.client_id.clone(),
            &microsoft.client_secret,
            microsoft.redirect_uri.clone(),
            &microsoft.login_url,
            &microsoft.tenant,
        );
        services.insert(
            ProviderKind::Outlook,
            // Graph states no limit of the whole app for calendars; each mailbox has its own.
            Service::new(Arc::new(api), oauth, limits.per_mailbox, None, clock),
        );
    }
    services
}
