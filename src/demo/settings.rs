//! The settings with which a daemon talks to a simulator.

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::Entropy;
use crate::security::generate_key_line;
use crate::simulator::SimulatorConfig;

/// One setting per pair, ready for `.env`: where the simulated providers lie under `simulator`, and
/// the clients they know by default.
pub fn provider_settings(simulator: &Url) -> Vec<(&'static str, String)> {
    let base = simulator.as_str().trim_end_matches('/');
    let below = |path: &str| format!("{base}/{path}");
    let known = SimulatorConfig::default();
    let mut settings = vec![
        ("GOOGLE_AUTH_URL", below("google/o/oauth2/v2/auth")),
        ("GOOGLE_TOKEN_URL", below("google/token")),
        ("GOOGLE_REVOKE_URL", below("google/revoke")),
        ("GOOGLE_USERINFO_URL", below("google/oauth2/v2/userinfo")),
        ("GOOGLE_API_URL", below("google")),
        ("MICROSOFT_LOGIN_URL", below("microsoft/login")),
        ("MICROSOFT_GRAPH_URL", below("microsoft/graph/v1.0")),
    ];
    for (client, id, secret) in [
        (
            known.google_clients.first(),
            "GOOGLE_CLIENT_ID",
            "GOOGLE_CLIENT_SECRET",
        ),
        (
            known.microsoft_clients.first(),
            "MICROSOFT_CLIENT_ID",
            "MICROSOFT_CLIENT_SECRET",
        ),
    ] {
        if let Some(client) = client {
            settings.push((id, client.id.clone()));
            settings.push((secret, client.secret.expose_secret().to_owned()));
        }
    }
    settings
}

/// A secret for signing API tokens: 32 random bytes.
pub(super) fn fresh_jwt_secret(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes).into()
}

/// A token-encryption key of its own.
pub(super) fn fresh_key_line(entropy: &dyn Entropy) -> anyhow::Result<SecretString> {
    Ok(generate_key_line("demo", entropy)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SystemClock, SystemEntropy};
    use crate::simulator::Simulator;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_settings_name_what_the_simulator_says_of_itself() {
        let config = SimulatorConfig::default();
        let simulator = Simulator::start(config, SystemClock::shared(), Arc::new(SystemEntropy))
            .await
            .expect("starts");
        let settings = provider_settings(simulator.url());
        for (name, url) in [
            ("GOOGLE_AUTH_URL", simulator.google_auth_url()),
            ("GOOGLE_TOKEN_URL", simulator.google_token_url()),
            ("GOOGLE_REVOKE_URL", simulator.google_revoke_url()),
            ("GOOGLE_USERINFO_URL", simulator.google_userinfo_url()),
            ("GOOGLE_API_URL", simulator.google_api_url()),
            ("MICROSOFT_LOGIN_URL", simulator.microsoft_login_url()),
            ("MICROSOFT_GRAPH_URL", simulator.microsoft_graph_url()),
        ] {
            assert!(settings.contains(&(name, url.to_string())), "{name}");
        }
        simulator.shutdown().await;
    }
}
