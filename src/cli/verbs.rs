//! The verbs as a stranger is shown them: in groups, by what one wants to do.

use std::fmt::Write as _;

use clap::Command;
use clap::CommandFactory as _;

use super::Cli;

/// The groups, and the verbs of each; a verb that is in none is shown with the
/// last.
pub const GROUPS: [(&str, &[&str]); 5] = [
    ("Decide", &["serve", "check", "explain"]),
    (
        "Write policies",
        &["init", "validate", "fmt", "lint", "test", "prove"],
    ),
    ("Change policies", &["diff", "replay", "bench"]),
    ("Run a server", &["directory", "audit", "config"]),
    ("Other", &["completions", "help"]),
];

/// The whole command, with its verbs in groups.
///
/// clap has one heading for all subcommands, so the list is written here.
pub fn command() -> Command {
    let mut command = Cli::command();
    // Adds `help` to the verbs.
    command.build();
    let verbs = listed(&command);
    let usage = *command.get_styles().get_usage();
    let header = *command.get_styles().get_header();
    command.help_template(format!(
        "{{about-with-newline}}\n{usage}Usage:{usage:#} {{usage}}\n\n{verbs}\
         {header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

fn listed(command: &Command) -> String {
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let names = || command.get_subcommands().map(Command::get_name);
    let width = names().map(str::len).max().unwrap_or(0);
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, verbs)| verbs.contains(&name));
    let mut text = String::new();
    for (at, (heading, verbs)) in GROUPS.iter().enumerate() {
        writeln!(text, "{header}{heading}:{header:#}").ok();
        let others = names().filter(|name| at + 1 == GROUPS.len() && !is_grouped(name));
        for name in verbs.iter().copied().chain(others) {
            let Some(verb) = command
                .find_subcommand(name)
                .filter(|verb| !verb.is_hide_set())
            else {
                continue;
            };
            let about = verb.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            writeln!(text, "  {literal}{name:width$}{literal:#}  {about}").ok();
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::GROUPS;
    use super::command;

    #[test]
    fn every_verb_is_in_a_group_and_every_name_is_a_verb() {
        let command = command();
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, verbs)| *verbs)
            .copied()
            .collect();
        for verb in command.get_subcommands() {
            assert!(grouped.contains(&verb.get_name()), "{}", verb.get_name());
        }
        for name in grouped {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }
}
