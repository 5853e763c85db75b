//! `docs/cli.md` is written from the command line.
//!
//! `DEODAR_REWRITE=1 cargo test docs_cli` writes the page anew, as `cargo xtask docs` does.

use std::fs;

use clap::Command;
use deodar::cli::verbs;

use crate::page::page;
use crate::support::root;

const PAGE: &str = "docs/cli.md";

#[test]
fn the_page_is_what_the_program_says() {
    let page = page(verbs::command());
    let path = root().join(PAGE);
    if std::env::var_os("DEODAR_REWRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "`{PAGE}` is stale: run `cargo xtask docs`, or `DEODAR_REWRITE=1 cargo test docs_cli`"
    );
}

#[test]
fn every_verb_and_every_argument_is_described() {
    let mut command = verbs::command();
    command.build();
    let mut todo: Vec<(String, &Command)> = vec![(String::new(), &command)];
    let mut errors = Vec::new();
    while let Some((path, command)) = todo.pop() {
        let name = format!("{path} {}", command.get_name());
        for argument in command.get_arguments() {
            if !argument.is_hide_set() && argument.get_help().is_none() {
                errors.push(format!("{name}: `{}` has no help", argument.get_id()));
            }
        }
        if command.get_about().is_none() {
            errors.push(format!("{name}: has no description"));
        }
        let verbs = command.get_subcommands();
        let verbs = verbs.filter(|verb| verb.get_name() != "help");
        todo.extend(verbs.map(|verb| (name.clone(), verb)));
    }
    assert!(errors.is_empty(), "\n{}\n", errors.join("\n"));
}
