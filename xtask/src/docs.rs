//! `cargo xtask docs`: what is written from the command line's own description.
//!
//! The page is kept in the repository, and a test tells when it is stale. Man pages
//! and completions are for packages: they go to `target/dist`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Command;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use deodar::cli::Cli;
use deodar::cli::verbs;

mod page;

const PAGE: &str = "docs/cli.md";
const DIST: &str = "target/dist";

pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let is_check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask docs [--check]".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = page::page(verbs::command());
    let path = root.join(PAGE);
    if is_check {
        let is_fresh = fs::read_to_string(&path).is_ok_and(|before| before == page);
        return if is_fresh {
            Ok(())
        } else {
            Err(format!("`{PAGE}` is stale: run `cargo xtask docs`"))
        };
    }
    write(&path, page.as_bytes())?;
    let dist = root.join(DIST);
    let manuals = manuals(&dist.join("man"))?;
    let scripts = completions(&dist.join("completions"))?;
    println!("wrote {PAGE}, and to {DIST} {manuals} man pages and {scripts} completions");
    Ok(())
}

/// A man page for the command and for each verb, `deodar-directory-get.1` for one
/// that is below another.
fn manuals(folder: &Path) -> Result<usize, String> {
    let mut todo = vec![manual_of_all()];
    let mut written = 0;
    while let Some(command) = todo.pop() {
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name());
        let path = folder.join(format!("{name}.1"));
        let verbs = command.get_subcommands();
        todo.extend(verbs.filter(|verb| !verb.is_hide_set()).cloned());
        let mut text = Vec::new();
        Man::new(command)
            .render(&mut text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        write(&path, &text)?;
        written += 1;
    }
    Ok(written)
}

/// Without `help`, which would be a page for each verb once more.
fn manual_of_all() -> Command {
    fn without_help(command: Command) -> Command {
        command
            .disable_help_subcommand(true)
            .mut_subcommands(without_help)
    }
    let mut command = without_help(Cli::command());
    command.build();
    command
}

fn completions(folder: &Path) -> Result<usize, String> {
    let shells = [
        Shell::Bash,
        Shell::Elvish,
        Shell::Fish,
        Shell::PowerShell,
        Shell::Zsh,
    ];
    for shell in shells {
        let mut text = Vec::new();
        let mut command = verbs::command();
        clap_complete::generate(shell, &mut command, "deodar", &mut text);
        let name: PathBuf = match shell {
            Shell::Bash => "deodar.bash".into(),
            Shell::Elvish => "deodar.elv".into(),
            Shell::Fish => "deodar.fish".into(),
            Shell::PowerShell => "_deodar.ps1".into(),
            _ => "_deodar".into(),
        };
        write(&folder.join(name), &text)?;
    }
    Ok(shells.len())
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let at = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at)?;
    }
    fs::write(path, text).map_err(at)
}
