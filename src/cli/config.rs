//! `deodar config`: what is configured, and what can be.

use std::fmt::Write as _;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use super::ExitCode;
use super::Failure;
use super::args::SettingArgs;
use super::format::FormatArg;
use super::output;
use super::output::FAINT;
use super::output::NAME;
use super::output::PLAIN;
use super::output::paint;
use crate::config::Resolved;
use crate::config::keys;
use crate::config::keys::KEYS;
use crate::config::keys::Kind;
use crate::config::raw::Value;
use crate::config::resolve::Setting;
use crate::config::size;

/// Show the configuration, and what can be configured
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every key, its value, and where that comes from
    ///
    /// Takes the flags of `deodar serve`, so that it shows what `serve` with
    /// the same flags, variables and file would use.
    #[command(mut_arg("format", |arg| arg.help(r#"How to write it; JSON is {"settings": [{"key", "value", "origin"}]}"#)))]
    Show {
        #[command(flatten)]
        settings: SettingArgs,
        #[command(flatten)]
        format: FormatArg,
    },
    /// List every key with its default, variable and meaning
    Keys {
        /// How to write it
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: KeysFormat,
        /// What `--format markdown` was called before.
        #[arg(long, hide = true, conflicts_with = "format")]
        markdown: bool,
    },
}

/// How to write the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeysFormat {
    /// For people
    Human,
    /// A Markdown table a section
    Markdown,
}

/// Prints what is asked for.
///
/// # Errors
/// Every fault of the configuration.
pub fn run(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let text = match &args.what {
        What::Show { settings, format } => {
            let resolved = settings.resolve()?;
            if format.is_json() {
                output::json(&serde_json::json!({"settings": resolved.settings}))
            } else {
                shown(&resolved)
            }
        }
        What::Keys {
            format: KeysFormat::Human,
            markdown: false,
        } => listed(),
        What::Keys { .. } => markdown(),
    };
    output::stdout(&text);
    Ok(ExitCode::Yes)
}

fn shown(resolved: &Resolved) -> String {
    let rows: Vec<_> = resolved
        .settings
        .iter()
        .map(|setting| {
            [
                setting.key.clone(),
                value_text(setting),
                setting.origin.to_string(),
            ]
        })
        .collect();
    output::table("", [NAME, PLAIN, FAINT], &rows)
}

fn value_text(setting: &Setting) -> String {
    let is_size = keys::find(&setting.key).is_some_and(|key| matches!(key.kind, Kind::Size(_)));
    match &setting.value {
        Value::Number(bytes) if is_size => size::shown(*bytes),
        value => Some(value.to_string())
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "(none)".to_owned()),
    }
}

fn listed() -> String {
    let mut text = String::new();
    for section in KEYS.chunk_by(|a, b| a.section == b.section) {
        for key in section {
            let default = if key.default.is_empty() {
                "(none)"
            } else {
                key.default
            };
            let facts = format!("  {default}  ({})", key.kind.values());
            writeln!(text, "{}{facts}", paint(NAME, &key.path())).ok();
            writeln!(text, "    {}", key.doc).ok();
            writeln!(text, "    {}\n", paint(FAINT, &key.variable())).ok();
        }
    }
    text
}

fn markdown() -> String {
    let mut text = String::new();
    for section in KEYS.chunk_by(|a, b| a.section == b.section) {
        let name = section.first().map_or("", |key| key.section);
        writeln!(
            text,
            "## `[{name}]`\n\n| Key | Default | Values | Meaning |\n|---|---|---|---|"
        )
        .ok();
        for key in section {
            let default = if key.default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", key.default)
            };
            let (name, values, doc) = (key.name, key.kind.values(), key.doc);
            writeln!(
                text,
                "| `{name}`<br>`{}` | {default} | {values} | {doc} |",
                key.variable()
            )
            .ok();
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}
