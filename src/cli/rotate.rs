//! `keys rotate`: everything that is stored sealed for longer than a sign-in under the first key, while the
//! daemon goes on.

use std::process::ExitCode;

use crate::answer_rotation::rotate_answers;
use crate::config::{DatabaseConfig, Section, Sources};
use crate::domain::{Actor, ActorRole, Cause, Origin, SystemClock, SystemEntropy};
use crate::security::KeyRing;
use crate::store::{SchemaStatus, Store};
use crate::token_rotation::rotate;
use crate::webhooks::rotate_secrets;

#[expect(clippy::print_stdout, reason = "the outcome is what was asked for")]
pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let sources = Sources::of_process([].into());
    let (database, keys) = <(DatabaseConfig, KeyRing)>::load(&sources)?;
    let store = Store::open_beside(&database.url).await?;
    let origin = Origin {
        actor: Actor {
            subject: "keys rotate".to_owned(),
            role: ActorRole::CommandLine,
        },
        cause: Cause::NONE,
    };
    refuse_older_schema(&store.schema().await?)?;
    // Before the first token: a rotation that is interrupted was one all the same.
    let now = SystemClock::shared().now();
    store.record_key_rotation(&origin, now).await?;
    let rotation = rotate(&store, &keys, &SystemEntropy).await?;
    let webhooks = rotate_secrets(&store, &keys, &SystemEntropy).await?;
    let answers = rotate_answers(&store, &keys, &SystemEntropy, now).await?;
    store.close().await;
    println!(
        "{} connections were encrypted anew, {} already were.",
        rotation.resealed, rotation.current
    );
    if webhooks.resealed > 0 {
        println!("{} webhook secrets were encrypted anew.", webhooks.resealed);
    }
    for (id, why) in &webhooks.unreadable {
        println!("The secret of webhook {id} cannot be read ({why}); give it a new one.");
    }
    if answers.resealed > 0 {
        println!("{} kept answers were encrypted anew.", answers.resealed);
    }
    if answers.unreadable > 0 {
        println!(
            "{} kept answers of Idempotency-Keys cannot be read; they end within 24 hours by themselves.",
            answers.unreadable
        );
    }
    if rotation.left > 0 {
        println!(
            "{} connections got new tokens each time they were tried; run this again.",
            rotation.left
        );
    }
    if rotation.unreadable.is_empty() {
        let is_done =
            webhooks.unreadable.is_empty() && answers.unreadable == 0 && rotation.left == 0;
        if !is_done {
            return Ok(ExitCode::FAILURE);
        }
        println!("The older keys are no longer needed for what is stored.");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} connections cannot be read with these keys; their coaches must sign in again, or the \
         missing key must be put back:",
        rotation.unreadable.len()
    );
    for (id, why) in &rotation.unreadable {
        println!("  {id}: {why}");
    }
    Ok(ExitCode::FAILURE)
}

/// Beside a daemon of an older version there is no place yet for what this one writes down.
fn refuse_older_schema(schema: &SchemaStatus) -> anyhow::Result<()> {
    let Some(first) = schema.pending.first() else {
        return Ok(());
    };
    anyhow::bail!(
        "the database lacks the schema step {first}; start the daemon of this version, or run \
         `calendar-integration migrate up`, and then rotate again: no token was touched"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_lacks_a_step_is_said_to_lack_it() {
        let schema = |pending: &[&str]| SchemaStatus {
            applied: vec!["m0001_connections".to_owned()],
            pending: pending.iter().map(|&step| step.to_owned()).collect(),
            unknown: Vec::new(),
        };
        assert!(refuse_older_schema(&schema(&[])).is_ok());
        let refused = refuse_older_schema(&schema(&["m0008_idempotency", "m0009_audit"]));
        let told = refused.expect_err("refused").to_string();
        assert!(told.contains("m0008_idempotency") && told.contains("migrate up"));
    }
}
