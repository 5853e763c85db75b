//! `deodar serve` as a process: it starts, says so, answers, and ends.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Mutex;

use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use serde_json::Value as Json;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use crate::audit_record::fit_the_schema;
use crate::cases;
use crate::cases::Case;
use crate::cases::Told;
use crate::cli::Place;
use crate::secrets;
use crate::secrets::Sent;
use crate::support::Channel;
use crate::support::reference;

/// A served process on a unix socket, killed with the test. What it wrote is
/// searched for secrets then.
pub(crate) struct Served {
    child: Child,
    lines: BufReader<ChildStderr>,
    /// The log lines that were read.
    seen: String,
    pub(crate) socket: PathBuf,
    /// Where it tells of its metrics.
    pub(crate) http: SocketAddr,
    /// Where its audit log is.
    pub(crate) audit: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if !std::thread::panicking() {
            self.lines.read_to_string(&mut self.seen).unwrap();
            let mut out = self.child.stdout.take().unwrap();
            out.read_to_string(&mut self.seen).unwrap();
            secrets::search(&self.audit, &self.seen);
        }
    }
}

impl Served {
    /// Starts, and waits for the line that says what is served.
    pub(crate) fn start(folder: &Path, policies: &Path, variables: &[(&str, &str)]) -> Self {
        let socket = folder.join("deodar.sock");
        let mut child = Command::new(env!("CARGO_BIN_EXE_deodar"))
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--log-format", "json", "--policies"])
            .arg(policies)
            .arg("--unix")
            .arg(&socket)
            .current_dir(folder)
            .env_clear()
            .envs(secrets::variables(folder))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let named = variables
            .iter()
            .find(|(name, _)| *name == "DEODAR_AUDIT__PATH");
        let mut served = Self {
            lines: BufReader::new(child.stderr.take().unwrap()),
            child,
            seen: String::new(),
            socket,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            audit: folder.join(named.map_or("deodar-data/audit", |(_, path)| path)),
        };
        let serving = served.line_with("\"message\":\"serving\"");
        served.http = serving["http"].as_str().unwrap().parse().unwrap();
        served
    }

    /// A channel to it.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("unix:{}", self.socket.display())).unwrap();
        InterceptedService::new(endpoint.connect().await.unwrap(), Sent)
    }

    /// The log lines that were read.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Ends it by SIGKILL, at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself:\n{}", self.seen);
    }

    fn hang_up(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// The first line from here that has a text.
    fn line_with(&mut self, text: &str) -> Json {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "no `{text}`:\n{}", self.seen);
            self.seen.push_str(&line);
            let json = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if line.contains(text) {
                return json;
            }
        }
    }

    /// Ends it in order; gives how it exited, and the log lines that came then.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        self.seen.push_str(&rest);
        (self.child.wait().unwrap().code(), rest)
    }
}

fn check(case: &Case, from: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deodar"))
        .args([
            "check",
            "--json",
            "--principal",
            &case.principal,
            "--action",
            &case.action,
        ])
        .args(["--resource", &case.resource])
        .args(["--context", &serde_json::to_string(&case.context).unwrap()])
        .args([
            "--entities",
            &serde_json::to_string(&case.entities).unwrap(),
        ])
        .args(from)
        .env_clear()
        .output()
        .unwrap()
}

fn told(case: &Case, output: &Output) -> Told {
    let text = String::from_utf8_lossy(&output.stdout);
    let json: Json = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr)));
    let ids = |key: &str, id: fn(&Json) -> &Json| {
        let list = json[key].as_array().unwrap();
        list.iter()
            .map(|item| id(item).as_str().unwrap().to_owned())
            .collect()
    };
    let allow = json["decision"] == "allow";
    assert_eq!(
        output.status.code(),
        Some(if allow { 0 } else { 3 }),
        "{}",
        case.name
    );
    Told {
        allow,
        policies: ids("policies", |policy| &policy["id"]),
        errors: ids("errors", |error| &error["policy"]["id"]),
        cause: json["cause"].as_str().unwrap_or_default().to_owned(),
    }
}

#[test]
fn the_command_line_answers_every_case_from_a_server() {
    let place = Place::new();
    let trust = [("DEODAR_DECISION__TRUST_CALLER_TIME", "true")];
    let served = Served::start(place.0.path(), &reference(), &trust);
    let server = format!("unix:{}", served.socket.display());
    let faults = Mutex::new(Vec::new());
    let all = cases::all();
    let (server, faults_seen) = (&server, &faults);
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(4)) {
            scope.spawn(move || {
                for case in part {
                    let told = told(case, &check(case, &["--server", server]));
                    faults_seen
                        .lock()
                        .unwrap()
                        .extend(case.verify("check --server", &told).err());
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// One case in twelve: every one of these processes compiles the policies.
#[test]
fn the_command_line_answers_cases_from_a_directory() {
    let policies = reference();
    let policies = policies.to_str().unwrap();
    for case in cases::all().iter().step_by(12) {
        let told = told(case, &check(case, &["--policies", policies]));
        case.verify("check --policies", &told).unwrap();
    }
}

#[test]
fn a_signal_ends_it_in_order() {
    let place = Place::new();
    let served = Served::start(place.0.path(), &place.0.path().join("policies"), &[]);
    let socket = served.socket.clone();
    assert!(socket.exists());
    let (code, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("draining") && log.contains("SIGTERM"), "{log}");
    assert!(!socket.exists());
}

#[test]
fn at_a_hangup_the_log_level_is_read_again() {
    let place = Place::new();
    let mut served = Served::start(place.0.path(), &place.0.path().join("policies"), &[]);
    place.write("deodar.toml", "[log]\nlevel = \"deodar=debug\"\n");
    served.hang_up();
    let line = served.line_with("was read again");
    assert_eq!(line["level"], "deodar=debug");
    place.write("deodar.toml", "[log]\nlevel = \"loud=very\"\n");
    served.hang_up();
    let line = served.line_with("`log.level` stays");
    assert_eq!(line["error"], "`log.level` is not a log filter");
    assert_eq!(served.terminate().0, Some(0));
    // What it was, and what it was changed to.
    let log = place.0.path().join("deodar-data/audit");
    let records = Reader::open(&log, Since::Oldest).unwrap();
    let records = records.map(|line| serde_json::from_str(&line.unwrap().text).unwrap());
    let records: Vec<Json> = records.collect();
    fit_the_schema(&records);
    let set = records
        .iter()
        .filter(|record| record["kind"] == "configuration");
    let set: Vec<&Json> = set.collect();
    assert_eq!(set.len(), 2, "{set:?}");
    assert!(set[0]["signal"].is_null() && set[0]["set"]["log.level"].is_null());
    assert_eq!(set[1]["signal"], "SIGHUP");
    assert_eq!(
        set[1]["set"],
        serde_json::json!({"log.level": "deodar=debug"})
    );
    let last = records.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["reason"]),
        (&"stop".into(), &"SIGTERM".into())
    );
}

#[test]
fn what_cannot_start_says_why_and_what_to_do() {
    let place = Place::new();
    place.write("policies/docs.cedar", "permit(principal, action);");
    let bad = place.run_with(
        &["serve", "--grpc", "127.0.0.1:0", "--http", "off"],
        &[("DEODAR_POLICIES__WATCH", "false")],
        "",
    );
    assert!(bad.starts_with("exit 4\n"), "{bad}");
    assert!(
        bad.contains("docs.cedar") && bad.contains("1 fault"),
        "{bad}"
    );
    let nowhere = place.run(&[
        "serve",
        "--policies",
        "nowhere",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "off",
    ]);
    assert!(
        nowhere.starts_with("exit 1\n")
            && nowhere.contains("cannot watch the policy directory `nowhere`"),
        "{nowhere}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let taken = place.run(&["serve", "--grpc", &address, "--http", "off"]);
    assert!(
        taken.starts_with("exit 1\n") && taken.contains("is another deodar running?"),
        "{taken}"
    );
    let open = place.run(&["serve", "--grpc", "0.0.0.0:0", "--http", "off"]);
    assert!(
        open.starts_with("exit 2\n") && open.contains("insecure"),
        "{open}"
    );
}
