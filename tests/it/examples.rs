//! The example clients, against a server with the reference policies.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

use crate::peer::missing;
use crate::peer::peer;
use crate::places::Places;
use crate::support::Running;
use crate::support::config;
use crate::support::reference;
use crate::support::root;

/// A server on a free port and on a unix socket.
async fn server() -> (Running, TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("deodar.sock");
    let mut config = config(&reference());
    config.server.unix = vec![socket.clone()];
    let running = Running::start(config).await;
    (running, folder, format!("unix:{}", socket.display()))
}

/// Runs a client to its end, without holding up the server.
async fn run(mut command: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap()
}

/// Three parties, each allowed once and denied once, for the right reasons.
fn check(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    assert_eq!(said.matches("decision: allow").count(), 3, "{said}");
    assert_eq!(
        said.matches("decision: deny (forbidden)").count(),
        3,
        "{said}"
    );
    assert!(said.matches("advice:").count() >= 3, "{said}");
    for policy in [
        "device-reads-own-inbox",
        "default-password-uses-lifeline-only",
        "operator-commands-own-site",
        "safety-machines-need-training",
        "recorder-writes-site-streams",
        "service-needs-mesh-identity",
    ] {
        assert!(
            said.contains(&format!("policy:   {policy} (")),
            "{policy}:\n{said}"
        );
    }
}

/// Cargo puts the example beside the folder of this test.
fn rust_example() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let example = profile.join("deodar-example");
    if !example.is_file() {
        missing("the Rust example is not built, run `cargo build -p deodar-example`");
        return None;
    }
    Some(example)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_is_answered() {
    let Some(example) = rust_example() else {
        return;
    };
    let (running, _folder, socket) = server().await;
    let tcp = format!("http://{}", running.server.grpc.first().unwrap());
    for address in [tcp, socket] {
        let mut client = Command::new(&example);
        client.arg(address);
        check(&run(client).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_says_that_nobody_is_there() {
    let Some(example) = rust_example() else {
        return;
    };
    let mut client = Command::new(example);
    client.arg("unix:/nowhere/deodar.sock");
    let output = run(client).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot reach deodar at unix:/nowhere/deodar.sock"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_is_answered() {
    let Some(python) = peer("python with gRPC", Places::python) else {
        return;
    };
    let generated = tempfile::tempdir().unwrap();
    let mut protoc = Command::new(&python);
    protoc
        .args(["-m", "grpc_tools.protoc", "-I", "."])
        .arg(format!("--python_out={}", generated.path().display()))
        .arg(format!("--grpc_python_out={}", generated.path().display()))
        .args(["deodar/v1/authorization.proto", "deodar/v1/policy.proto"])
        .args(["deodar/v1/value.proto", "google/rpc/status.proto"])
        .current_dir(root().join("proto"));
    let output = run(protoc).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let (running, _folder, socket) = server().await;
    for address in [running.server.grpc.first().unwrap().clone(), socket] {
        let mut client = Command::new(&python);
        client
            .arg(root().join("examples/python/client.py"))
            .arg(address)
            .env("PYTHONPATH", generated.path())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        check(&run(client).await);
    }
}
