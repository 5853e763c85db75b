//! `deodar fmt`.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::output;
use super::output::BAD;
use super::output::count;
use super::output::paint;
use super::repository::place;
use crate::analysis::format::Kind;
use crate::analysis::format::format;
use crate::engine::Fault;
use crate::engine::files::Role;
use crate::source;
use crate::source::Limits;

const FORMAT_HELP: &str = "How to write what was done: human; or json: {\"changed\": [\"file\"], \"unchanged\": number, \"faults\": [{\"file\", \"line\", \"column\", \"text\", \"message\", \"hint\", \"is_warning\"}]}";

/// Bring policies and schema into one form
///
/// Policies are laid out as Cedar's own formatter does it; schemas keep their comments
/// and line breaks, and get one indentation and spacing. What is written says the same
/// as before, or nothing is written. Files are replaced as a whole.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar fmt                       format every policy and schema file of the repository here
  deodar fmt --check policies/     list what is not formatted, and write nothing
  deodar fmt a.cedar b.cedarschema
  deodar fmt - < a.cedar           from standard input to standard output

Exit codes: 0 done, or nothing to do, 1 a file cannot be read or written, 2 usage or configuration,
4 a file does not parse (the others are formatted), 6 with --check, a file is not formatted")]
pub struct FmtArgs {
    /// A policy repository, or files of one; `-` for policies on standard input
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Write nothing; list the files that are not formatted
    #[arg(long)]
    check: bool,
    /// With `-`: the text is a schema
    #[arg(long)]
    schema: bool,
    #[arg(long, value_name = "FORMAT", default_value = "human", help = FORMAT_HELP)]
    format: FmtFormat,
    #[command(flatten)]
    file: FileArg,
}

/// How to write what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FmtFormat {
    /// For people
    Human,
    /// For programs
    Json,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    changed: Vec<String>,
    unchanged: usize,
    faults: Vec<Fault>,
}

/// A file to be formatted.
struct Target {
    kind: Kind,
    /// As it is shown.
    name: String,
    path: PathBuf,
}

/// Formats what is asked for.
///
/// # Errors
/// When something cannot be read or written.
pub fn run(args: &FmtArgs) -> Result<ExitCode, Failure> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return standard_input(args);
    }
    let config = args.file.resolve()?.config;
    let targets = targets(args, &config.policies.path, &config.policies.limits)?;
    let mut done = Done::default();
    for target in targets {
        one(&target, args.check, &mut done)?;
    }
    match args.format {
        FmtFormat::Json => output::stdout(&output::json(&done)),
        FmtFormat::Human => human(&done, args.check),
    }
    Ok(if !done.faults.is_empty() {
        ExitCode::Invalid
    } else if args.check && !done.changed.is_empty() {
        ExitCode::Found
    } else {
        ExitCode::Yes
    })
}

fn human(done: &Done, is_check: bool) {
    if is_check {
        let lines = done.changed.iter().flat_map(|file| [file.as_str(), "\n"]);
        output::stdout(&lines.collect::<String>());
    }
    if !done.faults.is_empty() {
        let text = output::drawn(&done.faults);
        let number = count(done.faults.len(), "fault", "faults");
        output::stderr(&format!(
            "{text}{} {number}; files with faults are left as they are\n",
            paint(BAD, "error:")
        ));
    }
}

fn one(target: &Target, is_check: bool, done: &mut Done) -> Result<(), Failure> {
    let content = fs::read(&target.path).map_err(|error| trouble("read", &target.path, &error))?;
    let text: Arc<str> = match std::str::from_utf8(&content) {
        Ok(text) => text.into(),
        Err(error) => {
            let fault = Fault::not_utf8(&target.name, &content, error.valid_up_to());
            done.faults.push(fault);
            return Ok(());
        }
    };
    match format(target.kind, &target.name, &text) {
        Ok(formatted) if *formatted == *text => done.unchanged += 1,
        Ok(formatted) => {
            if !is_check {
                replace(&target.path, &formatted)?;
            }
            done.changed.push(target.name.clone());
        }
        Err(faults) => done.faults.extend(faults),
    }
    Ok(())
}

fn targets(args: &FmtArgs, configured: &Path, limits: &Limits) -> Result<Vec<Target>, Failure> {
    let here = place(None, configured);
    let paths: Vec<&Path> = if args.paths.is_empty() {
        vec![&here]
    } else {
        args.paths.iter().map(PathBuf::as_path).collect()
    };
    let mut targets = Vec::new();
    for path in paths {
        if path.is_file() {
            let kind = kind_of(path).ok_or_else(|| not_ours(path))?;
            targets.push(Target {
                kind,
                name: path.display().to_string(),
                path: path.to_owned(),
            });
        } else {
            let files = source::read_all(path, limits)?;
            targets.extend(files.all().filter_map(|(name, _)| {
                let path = path.join(name);
                Some(Target {
                    kind: kind_of(&path)?,
                    name: name.to_owned(),
                    path,
                })
            }));
        }
    }
    Ok(targets)
}

fn kind_of(path: &Path) -> Option<Kind> {
    match Role::of(path.file_name()?.to_str()?)? {
        Role::Policies => Some(Kind::Policies),
        Role::Schema => Some(Kind::Schema),
        _ => None,
    }
}

fn not_ours(path: &Path) -> Failure {
    Failure::Usage(Message::new(
        format!("`{}` is neither policies nor a schema", path.display()),
        "name a directory, or files that end with `.cedar` or `.cedarschema`",
    ))
}

fn standard_input(args: &FmtArgs) -> Result<ExitCode, Failure> {
    if args.paths.len() > 1 {
        let message = Message::new(
            "`-` does not go with other files",
            "format them in a run of their own",
        );
        return Err(Failure::Usage(message));
    }
    let limit = args.file.resolve()?.config.policies.limits.file_bytes_max;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(limit + 1)
        .read_to_string(&mut text)
        .map_err(|error| trouble("read", Path::new("-"), &error))?;
    if text.len() as u64 > limit {
        let message = format!("more than {limit} bytes on standard input");
        let hint = "raise `policies.file_bytes_max`";
        return Err(Failure::Failed(Message::new(message, hint)));
    }
    let kind = if args.schema {
        Kind::Schema
    } else {
        Kind::Policies
    };
    let formatted = format(kind, "-", &text.as_str().into())?;
    if !args.check {
        std::io::stdout()
            .lock()
            .write_all(formatted.as_bytes())
            .ok();
        return Ok(ExitCode::Yes);
    }
    Ok(if formatted == text {
        ExitCode::Yes
    } else {
        ExitCode::Found
    })
}

/// Replaces a file as a whole: whoever reads it meanwhile sees the old text or the
/// new one. Permissions stay; a symbolic link stays a link.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |error: std::io::Error| trouble("write", path, &error);
    let target = fs::canonicalize(path).map_err(fail)?;
    let permissions = fs::metadata(&target).map_err(fail)?.permissions();
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // The dot keeps a watching server from reading it.
    let beside = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(permissions)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, &target));
    if renamed.is_err() {
        fs::remove_file(&beside).ok();
    }
    renamed.map_err(fail)
}

fn trouble(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot {what} `{}`: {error}", path.display());
    Failure::Failed(Message::new(
        message,
        "see that it is there and may be read and written",
    ))
}
