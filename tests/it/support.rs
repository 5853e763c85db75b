//! A server of our own for a test, and a client to it.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use deodar::config::Config;
use deodar::config::Flags;
use deodar::config::Store;
use deodar::config::env::Variables;
use deodar::config::resolve::resolve;
use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use deodar::proto::v1::directory_service_client::DirectoryServiceClient;
use deodar::proto::v1::policy_service_client::PolicyServiceClient;
use deodar::run::Server;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::secrets;
use super::secrets::Searched;
use super::secrets::Sent;

/// The root of this package.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The reference policies.
pub(crate) fn reference() -> PathBuf {
    root().join("policies")
}

/// A configuration that listens on free ports only, trusts the caller's time
/// (the cases name theirs), and does not watch. Its audit log is one of its own.
pub(crate) fn config(policies: &Path) -> Config {
    let mut config = resolve(None, &Variables::default(), &Flags::default())
        .unwrap()
        .config;
    config.server.grpc = vec!["127.0.0.1:0".parse().unwrap()];
    config.server.http = Some("127.0.0.1:0".parse().unwrap());
    config.policies.path = policies.to_owned();
    config.policies.watch = false;
    config.directory.store = Store::Memory;
    config.audit.path = None;
    config.decision.trust_caller_time = true;
    config
}

/// A connection on which each call carries a secret.
pub(crate) type Channel = InterceptedService<tonic::transport::Channel, Sent>;

/// A client of the directory.
pub(crate) type DirectoryClient = DirectoryServiceClient<Channel>;

/// A running server with a channel to it. What it writes is searched for secrets
/// at the end.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) channel: Channel,
    _searched: Searched,
}

impl Running {
    pub(crate) async fn start(mut config: Config) -> Self {
        let seeds = secrets::seed(&mut config);
        let server = Server::start(config).await.unwrap();
        let address = server.grpc.first().unwrap();
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self {
            channel: InterceptedService::new(channel.connect_lazy(), Sent),
            _searched: seeds.of(&server),
            server,
        }
    }

    /// Over the reference policies.
    pub(crate) async fn reference() -> Self {
        Self::start(config(&reference())).await
    }

    pub(crate) fn authorization(&self) -> AuthorizationServiceClient<Channel> {
        AuthorizationServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn directory(&self) -> DirectoryClient {
        DirectoryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn policies(&self) -> PolicyServiceClient<Channel> {
        PolicyServiceClient::new(self.channel.clone())
    }
}

/// The answer of a server's HTTP side, with its head.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Writes files below a fresh directory.
pub(crate) fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}
