//! `docs/cli.md`: every verb, as the command line describes itself.

use std::fmt::Write as _;

use clap::Arg;
use clap::ArgAction;
use clap::Command;
use deodar::cli::verbs::GROUPS;

const HEAD: &str = "\
# The command line

Every verb, its arguments and its exit codes. Written from the program by `cargo xtask docs`; `deodar help VERB` says the same in a
terminal.

Every verb takes `--color auto|always|never`; colours are for terminals unless they are asked for, and `NO_COLOR` turns them off.
What was asked for goes to standard output, everything else to standard error. JSON is stable: members are added, never changed or
removed. Of policies that do not compile it says `{\"ok\": false, \"faults\": [..]}`, whatever the verb, where that has no report of its own.

";

/// The page of a command.
pub(crate) fn page(mut command: Command) -> String {
    command.build();
    let mut page = HEAD.to_owned();
    contents(&command, &mut page);
    for verb in shown(&command) {
        section(verb, 2, &mut page);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| verb.get_name() != "help" && !verb.is_hide_set())
}

fn contents(command: &Command, page: &mut String) {
    page.push_str("| verb | |\n| --- | --- |\n");
    for (heading, names) in GROUPS {
        writeln!(page, "| **{heading}** | |").ok();
        for verb in shown(command).filter(|verb| names.contains(&verb.get_name())) {
            let about = verb.get_about().map(ToString::to_string);
            let (name, about) = (verb.get_name(), about.unwrap_or_default());
            writeln!(page, "| [`{name}`](#deodar-{name}) | {} |", cell(&about)).ok();
        }
    }
    page.push('\n');
    after(command, page);
}

fn section(command: &Command, level: usize, page: &mut String) {
    let mut command = command.clone();
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let heading = "#".repeat(level);
    writeln!(page, "{heading} {name}\n").ok();
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about.map(ToString::to_string) {
        writeln!(page, "{}\n", prose(about.trim_end())).ok();
    }
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    writeln!(page, "```text\n{usage}\n```\n").ok();
    arguments(&command, page);
    after(&command, page);
    for verb in shown(&command) {
        section(verb, level + 1, page);
    }
}

/// A table of the arguments, those that every verb has left out.
fn arguments(command: &Command, page: &mut String) {
    let of_all = ["help", "version", "color"];
    let arguments = command.get_arguments();
    let rows: Vec<String> = arguments
        .filter(|argument| !argument.is_hide_set() && !of_all.contains(&argument.get_id().as_str()))
        .map(row)
        .collect();
    if !rows.is_empty() {
        writeln!(page, "| argument | |\n| --- | --- |\n{}", rows.concat()).ok();
    }
}

fn row(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut help = help.map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    let takes_value = argument.get_action().takes_values();
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| takes_value && !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), within(&help.to_string())),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        write!(help, ": {}", values.join(", ")).ok();
    }
    if takes_value && !defaults.is_empty() {
        write!(help, "; by default `{}`", defaults.join(" ")).ok();
    }
    format!("| `{}` | {} |\n", code(&written(argument)), cell(&help))
}

/// `-f, --format <FORMAT>`, `--shuffle[=<SEED>]`, `[DIR]`, `<ENTITY>...`
fn written(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| format!("<{name}>")).collect();
        names.join(" ")
    };
    let many = if matches!(argument.get_action(), ArgAction::Append) {
        "..."
    } else {
        ""
    };
    if argument.is_positional() {
        let value = value();
        let value = match value
            .strip_prefix('<')
            .and_then(|value| value.strip_suffix('>'))
        {
            Some(name) if !argument.is_required_set() => format!("[{name}]"),
            _ => value,
        };
        return format!("{value}{many}");
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let flags = flags.join(", ");
    if argument.get_action().takes_values() {
        match (argument.is_require_equals_set(), argument.get_num_args()) {
            (true, Some(range)) if range.min_values() == 0 => {
                format!("{flags}[={}]{many}", value())
            }
            (true, _) => format!("{flags}={}{many}", value()),
            _ => format!("{flags} {}{many}", value()),
        }
    } else {
        flags
    }
}

/// What stands below the help: examples are lines of a terminal, the rest is prose.
fn after(command: &Command, page: &mut String) {
    let text = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let Some(text) = text.map(ToString::to_string) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_indented = |line: &str| line.starts_with(' ');
    for part in
        lines.chunk_by(|a, b| is_indented(a) == is_indented(b) && !a.is_empty() && !b.is_empty())
    {
        match part {
            [""] => {}
            [first, ..] if is_indented(first) => {
                let lines: Vec<_> = part
                    .iter()
                    .map(|line| line.strip_prefix("  ").unwrap_or(line))
                    .collect();
                writeln!(page, "```sh\n{}\n```\n", lines.join("\n")).ok();
            }
            _ => {
                writeln!(page, "{}\n", prose(&part.join("\n"))).ok();
            }
        }
    }
}

/// Words that stand within a sentence.
fn within(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first
            .to_lowercase()
            .chain([second])
            .chain(letters)
            .collect(),
        _ => text.to_owned(),
    }
}

/// Text that Markdown is to show as it is: `<` would begin HTML.
fn prose(text: &str) -> String {
    let mut shown = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at > 0 {
            shown.push('`');
        }
        if at % 2 == 0 {
            shown.push_str(&part.replace('<', "\\<").replace('*', "\\*"));
        } else {
            shown.push_str(part);
        }
    }
    shown
}

/// A cell of a table: one line.
fn cell(text: &str) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    prose(&text.join(" ")).replace('|', "\\|")
}

/// Code in a cell.
fn code(text: &str) -> String {
    text.replace('|', "\\|")
}
