//! provisional

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Config
#[derive(Debug, Clone)]
pub struct Config { pub server: Server, pub policies: Policies, pub decision: crate::pdp::Settings, pub limits: crate::serve::Limits, pub connection: crate::serve::grpc::Connections, pub compression: Compression, pub shutdown: Shutdown }
#[derive(Debug, Clone)]
pub struct Server { pub grpc: Vec<SocketAddr>, pub unix: Vec<PathBuf>, pub http: Option<SocketAddr>, pub insecure: bool, pub reflection: bool }
#[derive(Debug, Clone)]
pub struct Policies { pub path: PathBuf, pub watch: bool, pub debounce: Duration, pub limits: crate::source::Limits }
#[derive(Debug, Clone)]
pub struct Compression { pub above_bytes: usize }
#[derive(Debug, Clone)]
pub struct Shutdown { pub delay: Duration, pub grace: Duration }
