//! The demo for people: a coach, a week of appointments, and a platform that keeps changing them.

#![expect(clippy::print_stdout, reason = "tells people where to look")]

mod page;
mod scene;
mod trickle;

use std::time::Duration;

use secrecy::ExposeSecret;

use super::api::Api;
use super::stage::{Plan, Stage, port_note};
use crate::domain::CoachId;
use crate::simulator::SimulatorConfig;

/// As `serve` does by default.
const API_PORT: u16 = 3001;
const SIMULATOR_PORT: u16 = 3002;
/// How long the printed sign-in link is good for.
const LINK_TTL: Duration = Duration::from_secs(8 * 3600);

/// Runs until `stop` resolves; then nothing is left behind.
pub async fn look_around(stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let stage = Stage::set(Plan {
        api_port: API_PORT,
        simulator_port: SIMULATOR_PORT,
        simulator: SimulatorConfig::default(),
        settings: Vec::new(),
        pages: Some(page::beside),
    })
    .await?;
    let ended = tokio::select! {
        ended = play(&stage) => ended,
        () = stage.failed() => Err(anyhow::anyhow!("the daemon could not be kept alive")),
        () = stop => Ok(()),
    };
    println!("\nStopping.");
    stage.clear().await?;
    ended
}

async fn play(stage: &Stage) -> anyhow::Result<()> {
    let clock = stage.surroundings.clock.clone();
    let entropy = stage.surroundings.entropy.clone();
    let api = Api::new(stage.api_url(), &stage.jwt_secret, clock.clone())?;
    let coach = CoachId::generate(clock.now(), &*entropy);
    let week = scene::week(coach, clock.now(), &*entropy);
    for appointment in &week {
        api.report(appointment.id, &appointment.body()).await?;
    }
    introduce(stage, &api, coach, week.len());
    trickle::keep_alive(&api, week, &*entropy).await
}

fn introduce(stage: &Stage, api: &Api, coach: CoachId, appointments: usize) {
    let root = stage.api_url();
    let simulator = stage.simulator_url();
    let notes = [
        port_note(API_PORT, &root),
        port_note(SIMULATOR_PORT, simulator),
    ];
    for note in notes.into_iter().flatten() {
        println!("Note: {note}.");
    }
    let token = api.coach_token(coach, LINK_TTL);
    println!(
        "A demo coach with {appointments} appointments around this week. Open the first link, connect \
         Google or Outlook\n(any e-mail address will do: both are simulated), watch, and make trouble.\n"
    );
    println!(
        "Demo           {root}demo#token={coach}&token={operator}",
        coach = token.expose_secret(),
        operator = api.admin_token().expose_secret(),
    );
    println!(
        "Dashboard      {root}dashboard#token={}  (the coach's alone)",
        token.expose_secret()
    );
    println!("Calendars      {simulator}  (week view of the simulated accounts)");
    println!("API            {}", api.url(""));
    println!("Documentation  {root}docs");
    println!("\nAs the operator, for instance:");
    println!(
        "  TOKEN={}\n  curl -H \"Authorization: Bearer $TOKEN\" {root}health/actors",
        api.admin_token().expose_secret()
    );
    println!("\nEverything is thrown away at the end. Press Ctrl-C to end.");
}
