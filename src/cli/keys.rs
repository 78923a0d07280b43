//! `keys generate`: a new token-encryption key.

use std::process::ExitCode;

use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;

use crate::domain::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::security::generate_key_line;

#[expect(clippy::print_stdout, reason = "printing the key is the command")]
pub(super) fn generate(id: Option<String>) -> anyhow::Result<ExitCode> {
    let id = id.unwrap_or_else(|| fresh_id(&*SystemClock::shared(), &SystemEntropy));
    let line = generate_key_line(&id, &SystemEntropy)?;
    println!("{}", line.expose_secret());
    Ok(ExitCode::SUCCESS)
}

/// The day, so that operators see a key's age, and chance, so that two of one day differ.
fn fresh_id(clock: &dyn Clock, entropy: &dyn Entropy) -> String {
    let mut chance = [0_u8; 3];
    entropy.fill(&mut chance);
    let day = clock.now().format("%Y%m%d");
    format!("k{day}-{}", HEXLOWER.encode(&chance))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::{ManualClock, SeededEntropy};
    use crate::security::KeyRing;

    #[test]
    fn keys_of_one_day_have_ids_of_their_own_and_make_a_ring() {
        let clock = ManualClock::starting_at(DateTime::UNIX_EPOCH);
        let entropy = SeededEntropy::from_seed(1);
        let (first, second) = (fresh_id(&*clock, &entropy), fresh_id(&*clock, &entropy));
        assert!(first.starts_with("k19700101-"));
        let lines = [&first, &second].map(|id| {
            let line = generate_key_line(id, &entropy).expect("the id is allowed");
            line.expose_secret().to_owned()
        });
        let ring = KeyRing::parse(&lines.join(",").into()).expect("a key ring");
        assert_eq!(ring.ids().collect::<Vec<_>>(), [first, second]);
    }
}
