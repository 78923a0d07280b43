//! The providers' client credentials, tried with a token request that cannot succeed: what it is
//! refused *for* tells whether the client was known.

use super::{Finding, Verdict, clock, redirect};
use crate::config::{GoogleConfig, HttpConfig, MicrosoftConfig};
use crate::domain::{SyncFailure, SystemClock};
use crate::oauth::{OAuthClient, OAuthEndpoints};
use crate::provider::http;

/// No provider ever issued it.
const NO_TOKEN: &str = "doctor-asks-whether-the-client-is-known";

pub(super) async fn google(web: &HttpConfig, config: Option<&GoogleConfig>) -> Vec<Finding> {
    let Some(google) = config else {
        return vec![off("Google", "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET")];
    };
    let Ok(http) = http::client() else {
        return vec![no_client()];
    };
    let clock = clock::of_provider("Google", &http, &google.token_url).await;
    let client = OAuthClient::google(
        http,
        google.client_id.clone(),
        &google.client_secret,
        google.redirect_uri.clone(),
        OAuthEndpoints {
            authorize: google.auth_url.clone(),
            token: google.token_url.clone(),
            revoke: None,
        },
    );
    let findings = [
        redirect("Google", &google.redirect_uri, web),
        credentials(
            "Google",
            &client,
            "the Google Cloud console, under Credentials",
        )
        .await,
    ];
    findings.into_iter().chain(clock).collect()
}

pub(super) async fn microsoft(web: &HttpConfig, config: Option<&MicrosoftConfig>) -> Vec<Finding> {
    let Some(microsoft) = config else {
        return vec![off(
            "Outlook",
            "MICROSOFT_CLIENT_ID and MICROSOFT_CLIENT_SECRET",
        )];
    };
    let Ok(http) = http::client() else {
        return vec![no_client()];
    };
    let clock = clock::of_provider("Outlook", &http, &microsoft.login_url).await;
    let client = OAuthClient::microsoft(
        http,
        microsoft.client_id.clone(),
        &microsoft.client_secret,
        microsoft.redirect_uri.clone(),
        &microsoft.login_url,
        &microsoft.tenant,
    );
    let findings = [
        redirect("Outlook", &microsoft.redirect_uri, web),
        credentials(
            "Outlook",
            &client,
            "the Azure portal, under App registrations",
        )
        .await,
    ];
    findings.into_iter().chain(clock).collect()
}

async fn credentials(provider: &str, client: &OAuthClient, place: &str) -> Finding {
    let subject = format!("{provider} client credentials");
    let clock = SystemClock::shared();
    let answer = client.refresh(&NO_TOKEN.into(), clock.as_ref()).await;
    match answer {
        // A provider that honours this token is none we know, but the client it did accept.
        Ok(_) | Err(SyncFailure::NeedsReauth(_)) => {
            Finding::good(&subject, "the provider knows the client")
        }
        Err(failure @ SyncFailure::Operator { .. }) => Finding::new(
            Verdict::Bad,
            &subject,
            failure.to_string(),
            format!("compare id and secret with {place}; a secret may have expired"),
        ),
        Err(
            failure @ (SyncFailure::Retryable { .. }
            | SyncFailure::RateLimited { .. }
            | SyncFailure::StaleTarget(_)
            | SyncFailure::Permanent { .. }),
        ) => Finding::new(
            Verdict::Doubtful,
            &subject,
            format!("could not be checked: {failure}"),
            "try again; if it stays so, check the network and the provider's URL settings",
        ),
    }
}

fn off(provider: &str, settings: &str) -> Finding {
    Finding::new(
        Verdict::Doubtful,
        provider,
        "not configured: coaches cannot connect it",
        format!("set {settings} to switch it on"),
    )
}

pub(super) fn no_client() -> Finding {
    Finding::new(
        Verdict::Bad,
        "HTTP client",
        "TLS cannot be set up",
        "install the system's root certificates",
    )
}
