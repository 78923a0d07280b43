//! How far a long step is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::Clock;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    label: &'static str,
    total: u64,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines {
        clock: Arc<dyn Clock>,
        last: Mutex<Duration>,
    },
}

impl Progress {
    pub(super) fn start(label: &'static str, total: u64, clock: &Arc<dyn Clock>) -> Self {
        let form = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_message(label);
            if let Ok(style) = ProgressStyle::with_template(
                "{msg:<22} [{bar:30}] {pos}/{len}  {elapsed}  {per_sec}",
            ) {
                bar.set_style(style.progress_chars("=> "));
            }
            Form::Bar(bar)
        } else {
            Form::Lines {
                clock: clock.clone(),
                last: Mutex::new(clock.monotonic()),
            }
        };
        Self { label, total, form }
    }

    pub(super) fn reach(&self, done: u64) {
        match &self.form {
            Form::Bar(bar) => bar.set_position(done),
            Form::Lines { clock, last } => {
                let now = clock.monotonic();
                let mut last = last
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if now.saturating_sub(*last) >= LINE_EVERY {
                    *last = now;
                    self.line(done);
                }
            }
        }
    }

    /// The bar makes room for what is printed next.
    pub(super) fn end(self) {
        match &self.form {
            Form::Bar(bar) => bar.finish_and_clear(),
            Form::Lines { .. } => {}
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress of a command in the foreground"
    )]
    fn line(&self, done: u64) {
        eprintln!("{}: {done} of {}", self.label, self.total);
    }
}
