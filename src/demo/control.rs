//! A client of the simulator's controls over HTTP: the one way the demo looks into calendars, so
//! that a simulator in another process is looked into the same way.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::api::read;
use super::patience::{CallError, accepted, patiently, send};
use crate::domain::{Clock, ProviderKind};
use crate::simulator::{AccountView, CallCount, Duplicate, LiveEvent};

pub(super) struct Control {
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) url: Url,
}

#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) accounts: Vec<AccountView>,
    pub(super) calls: Vec<CallCount>,
}

#[derive(Debug, Deserialize)]
struct Events {
    events: Vec<LiveEvent>,
}

#[derive(Debug, Deserialize)]
struct Duplicates {
    duplicates: Vec<Duplicate>,
}

impl Control {
    pub(super) async fn state(&self) -> Result<State, CallError> {
        self.get("state", &[]).await
    }

    pub(super) async fn duplicates(&self) -> Result<Vec<Duplicate>, CallError> {
        let found: Duplicates = self.get("duplicates", &[]).await?;
        Ok(found.duplicates)
    }

    /// Live events of an account, in all its calendars.
    pub(super) async fn events(
        &self,
        provider: ProviderKind,
        account: &str,
    ) -> Result<Vec<LiveEvent>, CallError> {
        let query = [("provider", provider.as_str()), ("account", account)];
        let found: Events = self.get("events", &query).await?;
        Ok(found.events)
    }

    /// Lets about `rate` of the calls fail from now on; 0 ends it.
    pub(super) async fn chaos(&self, rate: f64, seed: u64) -> Result<(), CallError> {
        let what = "set the simulator's chaos";
        let order = json!({"rate": rate, "seed": seed});
        patiently(&*self.clock, async || {
            let request = self.http.post(self.at("chaos")).json(&order);
            accepted(what, send(what, request).await?)
        })
        .await?;
        Ok(())
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let what = format!("ask the simulator for its {name}");
        patiently(&*self.clock, async || {
            read(&what, self.http.get(self.at(name)).query(query)).await
        })
        .await
    }

    fn at(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("control/{name}"));
        url
    }
}
