//! Prometheus' text format 0.0.4, made from the OpenMetrics text that the library writes.
//!
//! The two differ in what concerns us only by this: in the older one a counter's description bears the
//! name of its samples, `_total` included, and there is neither a unit line nor an end mark.

use std::fmt::Write;

pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // A description comes before the type that decides how it is named.
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = typed(line) {
            let ending = if kind == "counter" { "_total" } else { "" };
            if let Some((_, said)) = help.take().filter(|(of, _)| *of == name) {
                // A `String` takes every write.
                let _ = writeln!(text, "# HELP {name}{ending} {said}");
            }
            let _ = writeln!(text, "# TYPE {name}{ending} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn typed(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_described_by_the_name_of_its_samples_and_the_rest_stays() {
        let open_metrics = "# HELP a_jobs Jobs settled.\n# TYPE a_jobs counter\n\
             a_jobs_total{x=\"# y\"} 1\n\
             # HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\n# UNIT a_age_seconds seconds\n\
             a_age_seconds 0.5\n# EOF\n";
        let expected = "# HELP a_jobs_total Jobs settled.\n# TYPE a_jobs_total counter\n\
             a_jobs_total{x=\"# y\"} 1\n\
             # HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\na_age_seconds 0.5\n";
        assert_eq!(prometheus(open_metrics), expected);
    }
}
