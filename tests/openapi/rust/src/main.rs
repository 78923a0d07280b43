//! The story that every generated client tells against the live demo, in Rust: progenitor made the
//! client.
//!
//! API_URL and API_TOKEN (of an operator) name the demo. Ends with 1 where it is not as told.
#![deny(warnings)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use calendar_integration_client::types::{
    Connection, ConnectionStatus, EndedStatus, Outcome, Problem, ProblemCode, ProviderKind,
    ReportedStatus, SyncState,
};
use calendar_integration_client::{ByteStream, Client, Error};
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use uuid::Uuid;

struct Story {
    api: Client,
    /// What a browser has: no token, and eyes for where it is sent.
    browser: reqwest::Client,
    coach: Uuid,
    appointment: Uuid,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::var("API_URL").context("API_URL")?;
    let token = std::env::var("API_TOKEN").context("API_TOKEN")?;
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
    let http = reqwest::Client::builder().default_headers(headers);
    let story = Story {
        api: Client::new_with_client(&url, http.build()?),
        browser: reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?,
        coach: Uuid::new_v4(),
        appointment: Uuid::new_v4(),
    };
    story.report_an_appointment().await?;
    let connection = story.connect().await?;
    story.read_status().await?;
    story.change_settings(&connection).await?;
    story.sync(connection.id).await?;
    story.disconnect(connection.id).await?;
    println!("the Rust client told its story");
    Ok(())
}

impl Story {
    async fn report_an_appointment(&self) -> Result<()> {
        let starts_at = Utc::now() + TimeDelta::days(1);
        let answer = self.api.put_appointment().id(self.appointment);
        let answer = answer.body_map(|report| {
            report
                .coach_id(self.coach)
                .status(ReportedStatus::Confirmed)
                .starts_at(starts_at)
                .ends_at(starts_at + TimeDelta::hours(1))
                .time_zone("Europe/Berlin")
                .client(calendar_integration_client::types::ClientReport {
                    name: "John Doe".to_owned(),
                    email: "john@example.org".to_owned(),
                })
        });
        let receipt = answer.send().await?;
        ensure!(receipt.outcome == Outcome::Created, "{receipt:?}");
        Ok(())
    }

    /// The consent page belongs to the provider, so no client is generated for it.
    async fn connect(&self) -> Result<Connection> {
        let begin = self.api.start_sign_in().provider(ProviderKind::Google);
        let begun = begin.coach_id(self.coach).send().await?;
        let cookie = begun.headers().get(SET_COOKIE).context("no cookie")?;
        let account = format!("{}@example.com", self.coach);
        let consent = self.browser.post(&begun.authorization_url);
        let consent = consent.form(&[("account", account.as_str()), ("decision", "allow")]);
        let callback = location(&consent.send().await?)?;
        let end = self.browser.get(callback).header(COOKIE, cookie);
        let end = location(&end.send().await?)?;
        ensure!(end.contains("success=connected"), "{end}");

        let list = self.api.list_connections().id(self.coach).send().await?;
        let [connection] = list.connections.as_slice() else {
            bail!("not one connection: {list:?}");
        };
        ensure!(
            connection.status == ConnectionStatus::Active,
            "{connection:?}"
        );
        Ok(connection.clone())
    }

    async fn read_status(&self) -> Result<()> {
        eventually("the appointment is in the calendar", async || {
            let answer = self
                .api
                .get_appointment()
                .id(self.appointment)
                .send()
                .await?;
            let mut standings = answer.connections.iter();
            Ok(standings.any(|standing| standing.sync_status == SyncState::Synced))
        })
        .await
    }

    async fn change_settings(&self, connection: &Connection) -> Result<()> {
        let change = |template: &str| {
            let template = template.to_owned();
            let change = self.api.update_connection().id(connection.id);
            let change = change.if_match(connection.etag.as_str());
            change
                .body_map(|settings| settings.event_title_template(template))
                .send()
        };
        let refused = problem(change("Session with {client_nme}").await).await?;
        ensure!(refused.code == ProblemCode::InvalidSettings, "{refused:?}");
        ensure!(
            refused.errors[0].pointer == "/event_title_template",
            "{refused:?}"
        );

        let changed = change("Session {appointment_id}").await?;
        ensure!(changed.event_title_template == "Session {appointment_id}");
        let outdated = problem(change("Changed by somebody who has not seen that").await).await?;
        ensure!(
            outdated.code == ProblemCode::PreconditionFailed,
            "{outdated:?}"
        );
        Ok(())
    }

    async fn sync(&self, connection: Uuid) -> Result<()> {
        let sync = self.api.sync_now().id(connection);
        let sync = sync.body_map(|body| body.appointment_id(self.appointment));
        sync.send().await?;
        eventually("the sync ends", async || {
            let status = self.api.get_sync_status().id(connection).send().await?;
            ensure!(status.failed == 0, "{status:?}");
            Ok(status.pending + status.processing == 0 && status.synced == 1)
        })
        .await
    }

    async fn disconnect(&self, connection: Uuid) -> Result<()> {
        let end = || self.api.disconnect().id(connection).send();
        let ended = end().await?;
        ensure!(ended.status == EndedStatus::Disconnected, "{ended:?}");
        let gone = problem(end().await).await?;
        ensure!(gone.code == ProblemCode::ConnectionNotFound, "{gone:?}");
        Ok(())
    }
}

/// progenitor knows JSON by its plain name alone, so problems come as bytes; their type is generated.
async fn problem<T>(answer: Result<T, Error<ByteStream>>) -> Result<Problem> {
    match answer {
        Err(Error::ErrorResponse(refused)) => {
            let body: Vec<_> = refused.into_inner_stream().try_collect().await?;
            Ok(serde_json::from_slice(&body.concat())?)
        }
        Err(other) => Err(other.into()),
        Ok(_) => bail!("what was to be refused was done"),
    }
}

fn location(answer: &reqwest::Response) -> Result<String> {
    let location = answer.headers().get(LOCATION).context("sent nowhere")?;
    Ok(location.to_str()?.to_owned())
}

/// Asks until it is as it should be.
async fn eventually(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !holds().await? {
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "{what}: not within 30 seconds"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
