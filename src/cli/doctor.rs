//! `doctor`: what was found, a line each, and what to change.

use std::process::ExitCode;

use crate::config::Sources;
use crate::doctor::{Verdict, examine};

#[expect(clippy::print_stdout, reason = "the findings are what was asked for")]
pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let findings = examine(&Sources::of_process([].into())).await;
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok   ",
            Verdict::Doubtful => "look ",
            Verdict::Bad => "wrong",
        };
        println!("{mark}  {}: {}", finding.subject, finding.detail);
        if let Some(remedy) = &finding.remedy {
            println!("       to do: {remedy}");
        }
    }
    let bad = findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
