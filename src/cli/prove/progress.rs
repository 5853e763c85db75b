//! How far a proof is: a bar on a terminal, else nothing.

use std::io;
use std::io::IsTerminal as _;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

/// How far a proof is.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing is done of so many environments.
    pub(super) fn new(environments: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(environments.try_into().unwrap_or(u64::MAX));
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let style =
                ProgressStyle::with_template("{wide_bar} {pos}/{len} environments  {elapsed}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    /// One more is done.
    pub(super) fn one_done(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
