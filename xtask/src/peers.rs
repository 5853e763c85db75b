//! `cargo xtask peers`: installs outside programs that tests use, at pinned
//! versions, below `target/peers` and nowhere else; cvc5 has to be there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::places::Places;

/// The protobuf linter, from npm.
const BUF: &str = "@bufbuild/buf@1.75.0";

/// What receives OTLP and what reads metrics, from PyPI.
const TELEMETRY: &[&str] = &["rotel==0.0.1a15", "prometheus_client==0.26.0"];

/// What the Python example needs; the example pins it for its users too.
const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/python/requirements.txt"
);

/// Installs what is missing or of another version.
pub(crate) fn run() -> Result<(), String> {
    let places = Places::of_this_build()
        .ok_or("this program is in no target directory; run it as `cargo xtask peers`")?;
    buf(&places)?;
    python(&places)?;
    telemetry(&places)?;
    solver()
}

/// The solver of `deodar prove` is a package of the system, which is not ours to
/// install.
fn solver() -> Result<(), String> {
    let hint = "install it, such as `apt-get install cvc5`";
    let mut cvc5 = Command::new("cvc5");
    quietly(cvc5.arg("--version"), hint)?;
    println!("cvc5: is there");
    Ok(())
}

fn buf(places: &Places) -> Result<(), String> {
    let folder = places.npm();
    once(&folder, &places.buf(), BUF, "buf", || {
        fs::create_dir_all(&folder).map_err(|error| cannot("create", &folder, &error))?;
        let hint = "install Node.js with npm, such as `apt-get install npm`";
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .arg("--prefix")
        .arg(&folder)
        .arg(BUF);
        quietly(&mut npm, hint)
    })
}

fn python(places: &Places) -> Result<(), String> {
    let folder = places.venv();
    let requirements = fs::read_to_string(REQUIREMENTS)
        .map_err(|error| cannot("read", Path::new(REQUIREMENTS), &error))?;
    once(&folder, &places.python(), &requirements, "python", || {
        packages(&folder, &["--requirement", REQUIREMENTS])
    })
}

fn telemetry(places: &Places) -> Result<(), String> {
    let (folder, collector) = (places.telemetry(), places.collector());
    once(&folder, &collector, &TELEMETRY.join("\n"), "rotel", || {
        packages(&folder, TELEMETRY)?;
        // The package keeps it in a folder that has the version of Python in its name.
        let place =
            "import importlib.util as u; print(u.find_spec('rotel').submodule_search_locations[0])";
        let mut python = Command::new(places.metrics_reader());
        let output = python.args(["-c", place]).output();
        let output = output.map_err(|error| format!("cannot run python: {error}"))?;
        let package = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let program = Path::new(&package).join("rotel-agent");
        symlink(&program, &collector).map_err(|error| cannot("link", &program, &error))
    })
}

/// A fresh Python environment with packages.
fn packages(folder: &Path, which: &[&str]) -> Result<(), String> {
    let hint = "install Python 3 with venv, such as `apt-get install python3-venv`";
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(folder);
    quietly(&mut venv, hint)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(["--only-binary", ":all:"])
    .args(which);
    quietly(&mut pip, "is the Python package registry reachable?")
}

/// Installs unless the program is there and the stamp says that it was
/// installed from the same versions.
fn once(
    folder: &Path,
    program: &Path,
    versions: &str,
    name: &str,
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let stamp = folder.join("installed-versions");
    let current = fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == versions);
    if current && program.is_file() {
        println!("{name}: is there, {}", program.display());
        return Ok(());
    }
    println!(
        "{name}: installing {}",
        versions.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    install().map_err(|error| format!("cannot install {name}: {error}"))?;
    if !program.is_file() {
        return Err(format!(
            "{name} was installed, but `{}` is not there",
            program.display()
        ));
    }
    fs::write(&stamp, versions).map_err(|error| cannot("write", &stamp, &error))?;
    println!("{name}: installed, {}", program.display());
    Ok(())
}

/// Runs a program to its end, and shows what it said only if it failed.
fn quietly(command: &mut Command, hint: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("`{program}` is not installed\n  hint: {hint}"),
        _ => format!("cannot run `{program}`: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{program}` failed, {}\n{}{}\n  hint: {hint}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    ))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} `{}`: {error}", path.display())
}
