//! Protocols in: listeners, limits, deadlines, drain.
//!
//! One file a protocol, its wire types in a file beside it; nothing past a wire
//! file sees a protobuf, JSON or HTTP type.

pub mod deadline;
pub mod grpc;
pub mod http;
pub mod limits;
pub mod listen;
pub mod measured;
pub mod observe;
pub mod phase;
pub mod readiness;

pub use limits::AuditLimits;
pub use limits::DirectoryLimits;
pub use limits::Limits;
pub use phase::Phase;
