//! `--format`: how a verb writes what it found.
//!
//! A verb with formats of its own has an enum of its own; these are for the many
//! that have none. What a verb writes as JSON is in its help, and stays.

use clap::ArgMatches;
use clap::Args;
use clap::ValueEnum;

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// For programs
    Json,
}

/// `--format human|json`.
#[derive(Debug, Args)]
pub struct FormatArg {
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// What `--format json` was called before.
    #[arg(long, hide = true, conflicts_with = "format")]
    json: bool,
}

impl FormatArg {
    /// Whether JSON is asked for.
    pub fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

/// Whether the verb, whichever it is, was asked for JSON.
pub fn is_json(matches: &ArgMatches) -> bool {
    if let Some((_, verb)) = matches.subcommand() {
        return is_json(verb);
    }
    let written = |name| matches.try_get_raw(name).ok().flatten();
    let mut format = written("format").into_iter().flatten();
    let is_old = matches.try_get_one::<bool>("json").ok().flatten();
    format.any(|format| format == "json") || is_old == Some(&true)
}

/// How to write rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowsFormat {
    /// For people
    Human,
    /// For programs
    Json,
    /// For spreadsheets: RFC 4180, with a header; no cell is taken for a formula
    Csv,
}

/// `--format human|json|csv`.
#[derive(Debug, Args)]
pub struct RowsFormatArg {
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: RowsFormat,
    /// What `--format json` was called before.
    #[arg(long, hide = true, conflicts_with_all = ["format", "csv"])]
    json: bool,
    /// What `--format csv` was called before.
    #[arg(long, hide = true, conflicts_with = "format")]
    csv: bool,
}

impl RowsFormatArg {
    /// What is asked for.
    pub fn format(&self) -> RowsFormat {
        match (self.json, self.csv) {
            (true, _) => RowsFormat::Json,
            (_, true) => RowsFormat::Csv,
            _ => self.format,
        }
    }
}
