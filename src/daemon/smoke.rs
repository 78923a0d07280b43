use super::*;
use crate::config::{Section, Sources};
use crate::domain::*;
use crate::simulator::*;
use crate::store::*;
use crate::security::*;

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let _ = tracing_subscriber::fmt().with_env_filter("info,calendar_integration=debug").try_init();
    let clock = SystemClock::shared();
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let sim = Simulator::start(SimulatorConfig::default(), clock.clone(), entropy.clone()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let keys = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let url = format!("sqlite://{}/a.db?mode=rwc", dir.path().display());
    let sources = Sources::of_pairs([
        ("DATABASE_URL", url.as_str()),
        ("TOKEN_ENCRYPTION_KEYS", keys),
        ("AUTH_JWT_SECRET", "0123456789012345678901234567890123456789"),
        ("GOOGLE_CLIENT_ID", "demo-google-client"), ("GOOGLE_CLIENT_SECRET", "demo-google-secret"),
        ("GOOGLE_AUTH_URL", sim.google_auth_url().as_str()), ("GOOGLE_TOKEN_URL", sim.google_token_url().as_str()),
        ("GOOGLE_REVOKE_URL", sim.google_revoke_url().as_str()), ("GOOGLE_USERINFO_URL", sim.google_userinfo_url().as_str()),
        ("GOOGLE_API_URL", sim.google_api_url().as_str()),
        ("MICROSOFT_CLIENT_ID", "demo-microsoft-client"), ("MICROSOFT_CLIENT_SECRET", "demo-microsoft-secret"),
        ("MICROSOFT_LOGIN_URL", sim.microsoft_login_url().as_str()), ("MICROSOFT_GRAPH_URL", sim.microsoft_graph_url().as_str()),
    ]);
    let config = Config::load(&sources).unwrap();
    let daemon = Daemon::start_core(&config, Surroundings { clock: clock.clone(), entropy: entropy.clone() }).await.unwrap();
    let h = sim.handle();
    let coach = CoachId(uuid::Uuid::new_v4());
    for (kind, client, scopes) in [
        (ProviderKind::Google, "demo-google-client", vec!["https://www.googleapis.com/auth/calendar","https://www.googleapis.com/auth/userinfo.email"]),
        (ProviderKind::Outlook, "demo-microsoft-client", vec!["Calendars.ReadWrite","User.Read","offline_access"]),
    ] {
        h.open_account(kind, "a@x.org", chrono_tz::Europe::Berlin);
                let t = h.grant(kind, "a@x.org", client, &scopes);
        let id = ConnectionId::generate(clock.now(), entropy.as_ref());
        let seal = |s: &secrecy::SecretString, column| config.keys.seal(s, Context { table: "coach_calendar_connections", column, row: id.0 }, entropy.as_ref()).into_string();
        let acc = crate::provider::Access { token: &t.access_token, budget: &Free };
        let cal = daemon.context.services[&kind].api.calendars(acc).await.unwrap().remove(0);
        daemon.context.store.connect(id, &NewConnection { fresh_id: id, fresh_sync_id: SyncId::generate(clock.now(), entropy.as_ref()), coach_id: coach, provider: kind, account_id: "x".into(), account_email: "a@x.org".into(), primary_calendar: cal, max_attempts: 80, now: clock.now() },
          &SealedTokens { access: seal(&t.access_token, "access_token"), refresh: seal(&t.refresh_token, "refresh_token"), access_expires_at: clock.now() + chrono::TimeDelta::hours(1) }).await.unwrap();
    }
    for n in 0..40u128 {
        let a = Appointment { id: AppointmentId(uuid::Uuid::from_u128(n)), coach_id: coach, status: AppointmentStatus::Confirmed, starts_at: clock.now() + chrono::TimeDelta::hours(n as i64), ends_at: clock.now() + chrono::TimeDelta::hours(n as i64 + 1), time_zone: chrono_tz::Europe::Berlin, client: Client { name: "N".into(), email: "n@x.org".into() }, notes: None, location: None, meeting_url: None, revision: None, erased: false };
        let intake = daemon.context.store.report(&[a], 80, clock.now()).await.unwrap();
        assert_eq!(intake.queued, 2);
        daemon.poller.wake(intake.connections);
    }
    for _ in 0..100 {
        if h.live_events(ProviderKind::Google, "a@x.org", None).len() == 40 && h.live_events(ProviderKind::Outlook, "a@x.org", None).len() == 40 { break }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!("{:?}", h.calls());
    assert_eq!(h.live_events(ProviderKind::Google, "a@x.org", None).len(), 40);
    assert_eq!(h.live_events(ProviderKind::Outlook, "a@x.org", None).len(), 40);
}
struct Free;
impl crate::provider::Budget for Free { fn charge(&self, _: u32) -> Result<(), SyncFailure> { Ok(()) } }
