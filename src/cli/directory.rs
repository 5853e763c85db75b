//! `deodar directory`: the entities and links of a server.

pub mod change;
pub mod chunks;
pub mod export;
pub mod get;
pub mod import;
pub mod line;
pub mod link;
pub mod pages;
pub mod progress;
pub mod resume;
pub mod shown;
pub mod split;
pub mod stats;
pub mod watch;

use clap::Args;
use clap::Subcommand;
use tonic::transport::Channel;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::output;
use super::server::ServerAddress;
use super::server::connect;
use super::server::in_time;
use super::server::refused;
use crate::proto::v1;
use crate::proto::v1::directory_service_client::DirectoryServiceClient;

/// Bytes of one answer that are taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// See and change the entities and links of a server
///
/// Who and what exists (devices, people, services, groups) and which grants
/// were made is data that lives in the server and changes while it runs. Every
/// change makes a revision, which is printed: later questions can ask to be
/// answered from that revision or a later one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar directory import devices.ndjson
  deodar directory get 'Iot::Device::\"press-01\"'
  deodar directory patch 'Iot::Device::\"press-01\"' --add-parent 'Iot::DeviceGroup::\"quarantined\"'
  deodar directory export -o backup.ndjson
  deodar directory watch

Entities are written as in a policy: 'Type::\"id\"', in single quotes for the shell.")]
pub struct DirectoryArgs {
    /// What to do.
    #[command(subcommand)]
    verb: DirectoryVerb,
}

/// What can be done. The arguments of each verb say what it is for, so the
/// variants do not.
#[derive(Debug, Subcommand)]
enum DirectoryVerb {
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Get(get::GetArgs),
    Put(change::PutArgs),
    Patch(change::PatchArgs),
    Delete(change::DeleteArgs),
    Link(link::LinkArgs),
    Watch(watch::WatchArgs),
    Stats(stats::StatsArgs),
}

/// Where the server is.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server; by default the first that the configuration listens on [keys: server.grpc, server.unix]
    #[arg(long, value_name = "URL|unix:PATH")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    file: FileArg,
}

/// Does it.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn run(args: &DirectoryArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        DirectoryVerb::Import(args) => import::run(args),
        DirectoryVerb::Export(args) => export::run(args),
        DirectoryVerb::Get(args) => get::run(args),
        DirectoryVerb::Put(args) => change::put(args),
        DirectoryVerb::Patch(args) => change::patch(args),
        DirectoryVerb::Delete(args) => change::delete(args),
        DirectoryVerb::Link(args) => link::run(args),
        DirectoryVerb::Watch(args) => watch::run(args),
        DirectoryVerb::Stats(args) => stats::run(args),
    }
}

impl ServerArgs {
    /// The server that is meant.
    ///
    /// # Errors
    /// Every fault of the configuration.
    pub fn address(&self) -> Result<ServerAddress, Failure> {
        let config = self.file.resolve()?.config;
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        let none = || {
            let message = "the configuration names no address of a server";
            Failure::Usage(Message::new(message, "name one with `--server`"))
        };
        if let Some(address) = config.server.grpc.first() {
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            let url = format!("http://{address}").parse();
            return url.map(ServerAddress::Url).map_err(|_| none());
        }
        let socket = config.server.unix.first();
        socket.cloned().map(ServerAddress::Unix).ok_or_else(none)
    }
}

/// A client of the server.
///
/// # Errors
/// When it cannot be reached.
pub async fn client(server: &ServerAddress) -> Result<DirectoryServiceClient<Channel>, Failure> {
    let channel = connect(server).await?;
    Ok(DirectoryServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// Does several things at once or none, and tells the revision.
///
/// # Errors
/// When the server refuses.
pub async fn write(
    server: &ServerAddress,
    operations: Vec<v1::operation::Kind>,
) -> Result<String, Failure> {
    let operations = operations
        .into_iter()
        .map(|kind| v1::Operation { kind: Some(kind) });
    let request = v1::WriteRequest {
        operations: operations.collect(),
        ..v1::WriteRequest::default()
    };
    let written = client(server).await?.write(in_time(request)).await;
    let written = written.map_err(|status| refused(&status))?;
    Ok(written.into_inner().revision)
}

/// Prints the revision that a write made.
pub fn print_revision(revision: &str, json: bool) {
    if json {
        output::stdout(&output::json(&serde_json::json!({ "revision": revision })));
    } else {
        output::stdout(&format!("revision {revision}\n"));
    }
}

/// A reference to an entity that was read from the command line.
pub fn reference(uid: &cedar_policy::EntityUid) -> v1::EntityRef {
    crate::serve::grpc::value_out::write_uid(uid.as_ref())
}
