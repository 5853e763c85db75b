//! What a caller may ask for at most.

use std::time::Duration;

/// Limits on requests and connections. Each is a configuration key in
/// `[limits]`, under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, after decompression.
    pub message_bytes_max: usize,
    /// Questions of one batch.
    pub batch_items_max: usize,
    /// Bytes of an entity id, a type name, an attribute name.
    pub id_bytes_max: usize,
    /// Entities carried by one request.
    pub entities_max: usize,
    /// Sets and records in one another.
    pub depth_max: usize,
    /// Values in the context and the entities of one request, together.
    pub values_max: usize,
    /// Connections of all listeners together.
    pub connections_max: usize,
    /// Calls under way on one connection.
    pub streams_per_connection_max: usize,
    /// The longest time that a call may take, whatever the caller asks for.
    pub deadline_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            batch_items_max: 1000,
            id_bytes_max: 1024,
            entities_max: 100,
            depth_max: 16,
            values_max: 4096,
            connections_max: 10_000,
            streams_per_connection_max: 1000,
            deadline_max: Duration::from_secs(30),
        }
    }
}

/// Limits on what callers of the directory may ask for. Each is a configuration
/// key in `[directory]`, under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Operations and preconditions of one write.
    pub operations_max: usize,
    /// Entities and links in one page of a list, or in one read.
    pub page_max: usize,
    /// Watches at a time.
    pub watches_max: usize,
    /// Bytes of the writes that wait to be applied.
    pub writes_waiting_bytes_max: usize,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self {
            operations_max: 10_000,
            page_max: 1000,
            watches_max: 1000,
            writes_waiting_bytes_max: 256 << 20,
        }
    }
}

/// Limits on what callers may ask of the audit log. Each is a configuration key in
/// `[audit]`, under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditLimits {
    /// Records in one page.
    pub page_max: usize,
    /// Records that are looked at for one page. The newest first, the segment in
    /// which this is reached is read to its beginning.
    pub looked_at_max: u64,
    /// Tails at a time.
    pub tails_max: usize,
}

impl Default for AuditLimits {
    fn default() -> Self {
        Self {
            page_max: 1000,
            looked_at_max: 100_000,
            tails_max: 100,
        }
    }
}
