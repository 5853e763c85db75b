//! OTLP over TLS, to a receiver whose certificate was made here.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deodar::telemetry::trace::Trust;
use rcgen::CertifiedKey;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::failing::dropped;
use super::receiver::grpc;
use super::receiver::http;
use super::receiver::settings;
use super::receiver::span;
use crate::grpc::good;
use crate::support::Running;
use crate::support::config;
use crate::support::reference;

/// Certificates as files: the receiver's, ours, and one that nobody knows.
struct Certificates {
    folder: TempDir,
    receiver: CertifiedKey<KeyPair>,
    own: CertifiedKey<KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let made = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (receiver, own, other) = (made(), made(), made());
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("receiver.pem", receiver.cert.pem());
        write("other.pem", other.cert.pem());
        write("own.pem", own.cert.pem());
        write("own.key", own.signing_key.serialize_pem());
        Self {
            folder,
            receiver,
            own,
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut known = RootCertStore::empty();
        known.add(self.own.cert.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(known), Arc::clone(&provider))
                .build()
                .unwrap();
        let key = PrivateKeyDer::try_from(self.receiver.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.receiver.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// TLS before a receiver that has none; gives its URL.
async fn before(url: &str, acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("https://{}", listener.local_addr().unwrap());
    let inner = url.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, inner) = (acceptor.clone(), inner.clone());
            tokio::spawn(async move {
                // A caller that is not believed, or does not believe us, goes away.
                let Ok(mut socket) = acceptor.accept(socket).await else {
                    return;
                };
                let mut receiver = TcpStream::connect(inner).await.unwrap();
                tokio::io::copy_bidirectional(&mut socket, &mut receiver)
                    .await
                    .ok();
            });
        }
    });
    own
}

/// A server that exports with these files.
async fn running(url: &str, protocol: &str, folder: &Path, files: [&str; 3]) -> Running {
    let paths = files.map(|name| folder.join(name).to_str().unwrap().to_owned());
    let [authority, certificate, key] = &paths;
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority),
    ];
    if !files[1].is_empty() {
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate));
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", key));
    }
    let mut config = config(&reference());
    config.telemetry.trust = Trust::Child;
    config.telemetry.otlp = settings(&variables);
    let running = Box::pin(Running::start(config)).await;
    running.authorization().authorize(good()).await.unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_over_tls_to_whom_we_believe_and_who_believes_us() {
    let certificates = Certificates::new();
    let folder = certificates.folder.path();
    for protocol in ["grpc", "http/protobuf"] {
        let (url, mut receiver) = if protocol == "grpc" {
            grpc().await
        } else {
            http().await
        };
        let url = before(&url, certificates.acceptor()).await;
        for files in [
            ["other.pem", "own.pem", "own.key"],
            ["receiver.pem", "", ""],
        ] {
            let running = running(&url, protocol, folder, files).await;
            let counters = running.server.pdp.counters();
            for _ in 0..1000 {
                if dropped(counters, "send_failed") > 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(dropped(counters, "send_failed") > 0, "{protocol} {files:?}");
            assert!(receiver.try_recv().is_err(), "{protocol} {files:?}");
        }
        let files = ["receiver.pem", "own.pem", "own.key"];
        let _running = running(&url, protocol, folder, files).await;
        let name = "deodar.v1.AuthorizationService/Authorize";
        assert_eq!(span(&mut receiver, name).await.name, name);
    }
}

#[tokio::test]
async fn without_the_file_of_an_authority_nothing_is_traced() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["none", "", ""];
    let running = running("https://127.0.0.1:1", "grpc", folder.path(), files).await;
    assert!(running.server.pdp.counters().tracer().is_none());
}
