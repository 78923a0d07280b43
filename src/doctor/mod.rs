//! `doctor`: what an operator would otherwise find out one failure at a time.
//!
//! Looks at everything the daemon depends on and says of each part how it stands and, if it does not
//! stand well, what to change. Changes nothing itself.

mod callers;
mod clock;
mod disk;
mod grants;
mod providers;
mod sealed;
mod stored;

use url::Url;

use crate::config::{
    AuthConfig, Config, DatabaseConfig, GoogleConfig, HttpConfig, MicrosoftConfig, Section, Sources,
};
use crate::security::KeyRing;
use crate::security::api_token::Trust;

/// How a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Works, but look at it.
    Doubtful,
    Bad,
}

/// What was found about one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub subject: String,
    pub verdict: Verdict,
    pub detail: String,
    /// What to change; none if nothing must be.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(subject: &str, detail: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            verdict: Verdict::Good,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn new(
        verdict: Verdict,
        subject: &str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.to_owned(),
            verdict,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Looks at everything; the order is that in which problems are best mended.
pub async fn examine(sources: &Sources) -> Vec<Finding> {
    let mut findings = settings(sources);
    let keys = KeyRing::load(sources).ok();
    if let Ok(database) = DatabaseConfig::load(sources) {
        findings.extend(stored::examine(&database, keys.as_ref()).await);
    }
    if let Ok(auth) = AuthConfig::load(sources)
        && let Trust::Jwks(url) = &auth.trust
    {
        findings.push(callers::examine(url).await);
    }
    let http = HttpConfig::load(sources).ok();
    if let (Some(http), Ok(google)) = (&http, Option::<GoogleConfig>::load(sources)) {
        findings.extend(providers::google(http, google.as_ref()).await);
    }
    if let (Some(http), Ok(microsoft)) = (&http, Option::<MicrosoftConfig>::load(sources)) {
        findings.extend(providers::microsoft(http, microsoft.as_ref()).await);
    }
    findings
}

/// One finding per wrong setting, or one that says that all are well.
fn settings(sources: &Sources) -> Vec<Finding> {
    let Err(invalid) = Config::load(sources) else {
        return vec![Finding::good("settings", "complete and well-formed")];
    };
    invalid
        .problems()
        .iter()
        .map(|problem| {
            Finding::new(
                Verdict::Bad,
                "settings",
                problem.to_string(),
                "see `serve --help`",
            )
        })
        .collect()
}

/// Whether browsers that come back from consent reach this daemon.
fn redirect(provider: &str, redirect: &Url, http: &HttpConfig) -> Finding {
    let subject = format!("{provider} redirect URI");
    // A proxy may serve us below a path of its own.
    let below = http.public_url.path().trim_end_matches('/');
    let path = format!("{below}{}/callback", crate::api::BASE_PATH);
    if redirect.path() != path {
        return Finding::new(
            Verdict::Bad,
            &subject,
            format!("{redirect} does not lead to the callback"),
            format!("let it end in {path}, here and at the provider"),
        );
    }
    if redirect.origin() != http.public_url.origin() {
        return Finding::new(
            Verdict::Doubtful,
            &subject,
            format!(
                "{redirect} has another origin than PUBLIC_URL {}",
                http.public_url
            ),
            "the sign-in cookie is set on PUBLIC_URL's host: both must be the same to the browser",
        );
    }
    Finding::good(
        &subject,
        format!("{redirect}; it must be registered there letter by letter"),
    )
}
