//! How far an import is: a bar on a terminal, else a line now and then.

use std::io;
use std::io::IsTerminal as _;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::cli::output;

/// Where there is no terminal, a line is written each time so many more are done.
const LINE_EVERY: u64 = 100_000;

/// How far an import is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    next_line: u64,
}

impl Progress {
    /// Nothing is done of an input of so many bytes, if that is known.
    pub fn new(what: &'static str, bytes: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let (bar, template) = match bytes {
                Some(bytes) => (
                    ProgressBar::new(bytes),
                    "{wide_bar} {percent}%  {msg}  {eta} left",
                ),
                None => (ProgressBar::no_length(), "{spinner}  {msg}  {elapsed}"),
            };
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar.with_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self {
            bar,
            what,
            next_line: LINE_EVERY,
        }
    }

    /// So many are done, which took so many bytes of the input.
    pub fn done(&mut self, count: u64, bytes: u64, rate: f64) {
        let what = self.what;
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{count} {what}, {rate:.0}/s"));
        } else if count >= self.next_line {
            self.next_line = (count / LINE_EVERY + 1) * LINE_EVERY;
            output::stderr(&format!("{count} {what}, {rate:.0}/s\n"));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
