//! Processes that are measured: started, looked at, stopped.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::questions;
use super::root;

/// A process that ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it serves gRPC.
    pub(crate) address: String,
    /// Where it tells whether it is ready.
    http: String,
    /// Its audit log, if it writes one; removed with it.
    audit: Option<TempDir>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with a signal, and waits until it is gone.
    pub(crate) fn end(&mut self, signal: &str) -> Result<(), String> {
        let signal = format!("-{signal}");
        succeed(Command::new("kill").args([&signal, &self.pid().to_string()]))?;
        ended(&mut self.child, Duration::from_secs(60)).map(drop)
    }

    /// The directory of its audit log.
    pub(crate) fn audit(&self) -> Result<&Path, String> {
        let audit = self.audit.as_ref();
        audit
            .map(TempDir::path)
            .ok_or_else(|| "no audit log".to_owned())
    }

    /// Waits until it says that it is ready; looks every two milliseconds.
    pub(crate) fn wait_until_ready(&self) -> Result<(), String> {
        let give_up = Instant::now() + Duration::from_secs(120);
        while !self.is_ready() {
            if Instant::now() > give_up {
                return Err("the server never was ready".to_owned());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        get(&self.http, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// What it counted so far.
    pub(crate) fn metrics(&self) -> Result<Metrics, String> {
        let metrics = get(&self.http, "/metrics").map_err(|error| format!("/metrics: {error}"))?;
        Ok(Metrics(metrics))
    }

    /// Decisions that came from the cache so far, and all that were looked for
    /// in it.
    pub(crate) fn lookups(&self) -> Result<(u64, u64), String> {
        let metrics = self.metrics()?;
        let name = "deodar_cache_lookups_total";
        Ok((metrics.sum(name, &["\"hit\""]), metrics.sum(name, &[])))
    }

    /// Resident memory in MiB.
    pub(crate) fn rss_mib(&self) -> Result<f64, String> {
        rss_mib(self.pid())
    }
}

/// The resident memory of a process in MiB.
pub(crate) fn rss_mib(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| "no VmRSS".to_owned())
}

fn get(http: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(http)?;
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: deodar\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Builds what is measured, as it is released.
pub(crate) fn build() -> Result<(), String> {
    // Together, so that both agree on the features of what they depend on.
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--package",
            "deodar",
            "--package",
            "xtask",
        ])
        .current_dir(root());
    succeed(&mut cargo)
}

/// Runs a command to its end.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

/// Runs a command to its end, which may fail; gives what it prints. It is killed
/// when it takes too long.
pub(crate) fn printed(command: &mut Command, patience: Duration) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let mut stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout
            .as_mut()
            .map(|stdout| stdout.read_to_string(&mut text));
        text
    });
    let status = ended(&mut child, patience).map_err(|error| format!("{command:?}: {error}"))?;
    let text = reader.join().unwrap_or_default();
    if status.success() {
        Ok(text)
    } else {
        Err(format!("{command:?}: {status}\n{text}"))
    }
}

/// Waits until a process has ended; kills it when that takes too long.
fn ended(child: &mut Child, patience: Duration) -> Result<ExitStatus, String> {
    let give_up = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                child.kill().ok();
                child.wait().ok();
                return Err(format!("did not end in {} s", patience.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// A directory of this run on the disk of the repository: the one of temporary
/// files may be in memory.
pub(crate) fn scratch(prefix: &str) -> Result<TempDir, String> {
    let below = target().join("bench");
    let made = fs::create_dir_all(&below)
        .and_then(|()| tempfile::Builder::new().prefix(prefix).tempdir_in(&below));
    made.map_err(|error| format!("{}: {error}", below.display()))
}

/// A copy of the reference policies with the devices that batches ask about.
pub(crate) fn policies() -> Result<TempDir, String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy_directory(&root().join("policies"), copy.path())?;
    put(copy.path(), "entities/bench.json", &questions::devices())?;
    Ok(copy)
}

/// Writes a file at once: whoever watches sees the old one or the new one.
pub(crate) fn put(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = directory.join(name);
    let hidden = path.with_extension("new");
    let done = fs::write(&hidden, text).and_then(|()| fs::rename(&hidden, &path));
    done.map_err(|error| format!("{}: {error}", path.display()))
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), String> {
    let fault = |error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(fault)?;
    for entry in fs::read_dir(from).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_directory(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).map_err(fault)?;
        }
    }
    Ok(())
}

/// Keeps entities in memory.
pub(crate) const MEMORY: (&str, &str) = ("DEODAR_DIRECTORY__PATH", "memory");
/// Records no decisions.
pub(crate) const NO_AUDIT: (&str, &str) = ("DEODAR_AUDIT__PATH", "off");
/// Logs no warnings, of which a server in trouble has many.
pub(crate) const ERRORS: (&str, &str) = ("DEODAR_LOG__LEVEL", "error");
/// Makes every decision anew.
pub(crate) const NO_CACHE: (&str, &str) = ("DEODAR_CACHE__BYTES_MAX", "0");

/// Starts Deodar on these policies. Where its directory is has to be said.
pub(crate) fn deodar(policies: &Path, settings: &[(&str, &str)]) -> Result<Process, String> {
    let (address, http) = (free_address()?, free_address()?);
    let audit = scratch("audit-")?;
    let mut command = Command::new(target().join("release/deodar"));
    command
        .arg("serve")
        .env("DEODAR_SERVER__GRPC", &address)
        .env("DEODAR_SERVER__HTTP", &http)
        .env("DEODAR_POLICIES__PATH", policies)
        .env("DEODAR_AUDIT__PATH", audit.path())
        .env("DEODAR_AUDIT__KEEP_BYTES", "1GiB")
        .env("DEODAR_LOG__LEVEL", "warn")
        .envs(settings.iter().copied());
    let mut process = start(command, address, http)?;
    process.audit = Some(audit);
    Ok(process)
}

/// Starts the echo server with the answers in this file.
pub(crate) fn echo(answers: &Path) -> Result<Process, String> {
    let address = free_address()?;
    let mut command = Command::new(target().join("release/xtask"));
    command.args(["bench", "echo", &address]).arg(answers);
    start(command, address, String::new())
}

fn start(mut command: Command, address: String, http: String) -> Result<Process, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    Ok(Process {
        child,
        address,
        http,
        audit: None,
    })
}

fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.to_string())
        .map_err(|error| error.to_string())
}

/// The CPU time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // After the name, which may contain spaces: utime and stime are fields 14
    // and 15 of the line, in hundredths of a second on every Linux that matters.
    let fields = stat
        .rsplit_once(") ")
        .map(|(_, fields)| fields)
        .unwrap_or_default();
    let ticks = |field: usize| {
        fields
            .split(' ')
            .nth(field)
            .and_then(|field| field.parse::<u64>().ok())
    };
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 10)),
        _ => Err(format!("{path}: cannot be read")),
    }
}
