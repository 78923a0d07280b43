//! What a run found, as a table for people.

use std::time::Duration;

use crate::support::is_postgres;

/// The name of the database this run is on.
pub(super) fn database() -> &'static str {
    if is_postgres() {
        "PostgreSQL"
    } else {
        "SQLite"
    }
}

/// Prints a heading and rows of name and value. Seen with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the figures are what the run is for")]
pub(super) fn print(heading: &str, rows: &[(&str, String)]) {
    println!("\n{heading}");
    for (name, value) in rows {
        println!("  {name:<24}{value:>10}");
    }
}

/// Rows of a distribution, under these names: how many, median, 99th percentile, most. Nothing if there
/// are none.
pub(super) fn spread(
    names: [&'static str; 4],
    values: impl IntoIterator<Item = Duration>,
) -> Vec<(&'static str, String)> {
    let mut values: Vec<Duration> = values.into_iter().collect();
    if values.is_empty() {
        return Vec::new();
    }
    values.sort_unstable();
    let at = |percent: usize| {
        let place = (values.len() * percent).div_ceil(100).max(1) - 1;
        format!("{:.2} s", values[place].as_secs_f64())
    };
    let figures = [values.len().to_string(), at(50), at(99), at(100)];
    names.into_iter().zip(figures).collect()
}
