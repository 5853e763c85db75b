//! Log lines: for people on a terminal, as JSON elsewhere or where asked for.

use std::io;
use std::io::IsTerminal as _;

use tracing::Event;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::otlp::Bridge;
use super::trace;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people, coloured where `colour` says so.
    Human {
        /// Whether to colour.
        colour: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Whether standard error, where log lines go, is a terminal.
pub fn on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Which log lines are written, which may change while the process runs.
#[derive(Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Writes other log lines from now on.
    ///
    /// # Errors
    /// When `filter` is not a filter.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        let changed = self.0.reload(filter);
        changed.map_err(|error| error.to_string())
    }
}

/// JSON lines with the ids of the trace and span that they were written in, if
/// there is one.
#[derive(Debug)]
struct OfTrace<F>(F);

impl<S, N, F> FormatEvent<S, N> for OfTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let Some((trace_id, span_id)) = trace::ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end();
        let open = open.strip_suffix('}').unwrap_or(open);
        let trace_id = u128::from_be_bytes(trace_id);
        let span_id = u64::from_be_bytes(span_id);
        writeln!(
            writer,
            r#"{open},"trace_id":"{trace_id:032x}","span_id":"{span_id:016x}"}}"#
        )
    }
}

/// Starts logging to standard error, and to a collector if there is a bridge to it.
///
/// # Errors
/// When `filter` is not a filter, or logging was started before.
pub fn start(format: Format, filter: &str, bridge: Option<Bridge>) -> Result<Level, String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        Format::Human { colour } => lines.with_ansi(colour).with_target(false).boxed(),
        Format::Json => {
            let json = fmt::format().json().flatten_event(true);
            lines.json().event_format(OfTrace(json)).boxed()
        }
    };
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(bridge)
        .try_init();
    started.map_err(|error| error.to_string())?;
    Ok(Level(handle))
}
