//! A client of the daemon's public API, as the booking platform and an operator would write it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::patience::{CallError, accepted, patiently, send};
use crate::api::BASE_PATH;
use crate::domain::{AppointmentId, Clock, CoachId};
use crate::security::api_token::{Caller, Realm, Role, Signer};

/// Long enough for every replay; the secret they are signed with ends with the demo.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 3600);

pub(super) struct Api {
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<dyn Clock>,
    root: Url,
    signer: Signer,
    service: SecretString,
    admin: SecretString,
}

/// What the platform is told about its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    Stale,
}

#[derive(Debug, Deserialize)]
struct Reported {
    outcome: Outcome,
}

#[derive(Debug, Deserialize)]
struct ConnectionList {
    connections: Vec<ConnectionState>,
}

/// As much of a connection as the demo looks at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConnectionState {
    pub(super) pending: u64,
    pub(super) failed: u64,
}

#[derive(Debug, Deserialize)]
struct JobPage {
    jobs: Vec<Value>,
}

/// Jobs settled since the daemon started, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JobCounts {
    pub(super) completed: u64,
    /// Failed and tried again.
    pub(super) retried: u64,
    /// Put off without blame, for instance by a limit.
    pub(super) put_off: u64,
    pub(super) failed: u64,
}

impl Api {
    pub(super) fn new(
        root: Url,
        jwt_secret: &SecretString,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let signer = Signer::new(jwt_secret, Realm::default());
        let now = clock.now();
        let token = |role, name| -> anyhow::Result<SecretString> {
            Ok(signer.sign(&Caller::new(role, name)?, TOKEN_TTL, now))
        };
        Ok(Self {
            http: crate::provider::http::client()?,
            service: token(Role::Service, "demo-platform")?,
            admin: token(Role::Admin, "demo-operator")?,
            signer,
            root,
            clock,
        })
    }

    /// A token with which a coach signs in to the dashboard.
    pub(super) fn coach_token(&self, coach: CoachId, ttl: Duration) -> SecretString {
        self.signer
            .sign(&Caller::Coach(coach), ttl, self.clock.now())
    }

    pub(super) fn admin_token(&self) -> &SecretString {
        &self.admin
    }

    /// An address of the API.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{BASE_PATH}/{path}"));
        url
    }

    /// Reports an appointment as it now is.
    pub(super) async fn report(
        &self,
        id: AppointmentId,
        body: &Value,
    ) -> Result<Outcome, CallError> {
        let url = self.url(&format!("appointments/{id}"));
        let reported: Reported = patiently(&*self.clock, async || {
            let request = self.request(Method::PUT, url.clone(), &self.service);
            read("report an appointment", request.json(body)).await
        })
        .await?;
        Ok(reported.outcome)
    }

    pub(super) async fn connections(
        &self,
        coach: CoachId,
    ) -> Result<Vec<ConnectionState>, CallError> {
        let url = self.url(&format!("connections/{coach}"));
        let list: ConnectionList = self.get("list connections", url, &self.service).await?;
        Ok(list.connections)
    }

    /// Whether the queue holds no job in this state.
    pub(super) async fn has_none(&self, status: &str) -> Result<bool, CallError> {
        let mut url = self.url("queue");
        url.query_pairs_mut()
            .extend_pairs([("status", status), ("limit", "1")]);
        let page: JobPage = self.get("look at the queue", url, &self.admin).await?;
        Ok(page.jobs.is_empty())
    }

    /// Whether every job is done or given up.
    pub(super) async fn is_quiet(&self) -> Result<bool, CallError> {
        // In this order a job that moves on between the two questions is seen by one of them, save
        // one that fails in between; the caller asks twice.
        Ok(self.has_none("pending").await? && self.has_none("processing").await?)
    }

    /// From the metrics of the daemon that answers; they begin anew at each of its starts.
    pub(super) async fn job_counts(&self) -> Result<JobCounts, CallError> {
        let mut url = self.root.clone();
        url.set_path("/metrics");
        let what = "read the metrics";
        let answer = patiently(&*self.clock, async || {
            let request = self.request(Method::GET, url.clone(), &self.admin);
            accepted(what, send(what, request).await?)
        })
        .await?;
        Ok(job_counts(&String::from_utf8_lossy(&answer.body)))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        what: &str,
        url: Url,
        token: &SecretString,
    ) -> Result<T, CallError> {
        patiently(&*self.clock, async || {
            read(what, self.request(Method::GET, url.clone(), token)).await
        })
        .await
    }

    fn request(&self, method: Method, url: Url, token: &SecretString) -> reqwest::RequestBuilder {
        self.http
            .request(method, url)
            .bearer_auth(token.expose_secret())
    }
}

/// Sends a request and reads the JSON of a good answer.
pub(super) async fn read<T: DeserializeOwned>(
    what: &str,
    request: reqwest::RequestBuilder,
) -> Result<T, CallError> {
    let answer = accepted(what, send(what, request).await?)?;
    serde_json::from_slice(&answer.body).map_err(|_| CallError::Strange {
        what: what.to_owned(),
    })
}

fn job_counts(metrics: &str) -> JobCounts {
    let sum = |outcome: &str| {
        let label = format!("outcome=\"{outcome}\"");
        metrics
            .lines()
            .filter(|line| line.starts_with("calendar_jobs_total{") && line.contains(&label))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    };
    JobCounts {
        completed: sum("completed"),
        retried: sum("retried"),
        put_off: sum("put_off"),
        failed: sum("failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_counted_over_all_providers() {
        let metrics = "# TYPE calendar_jobs counter\n\
            calendar_jobs_total{provider=\"google\",outcome=\"completed\"} 3\n\
            calendar_jobs_total{provider=\"outlook\",outcome=\"completed\"} 4\n\
            calendar_jobs_total{provider=\"google\",outcome=\"retried\"} 1\n\
            calendar_leases_held 9\n";
        let counts = job_counts(metrics);
        assert_eq!((counts.completed, counts.retried, counts.failed), (7, 1, 0));
    }
}
