//! Where durable records go next: a Merkle tree over them, an exporter.

use std::fmt;

/// Is told of each record that became durable, once and in order.
///
/// The thread that writes the log calls it, so it must not take long: who has
/// to wait for others puts the line in a queue of its own. What became durable
/// before this process started is for [`Reader`](super::read::Reader) to read.
pub trait Sink: Send + fmt::Debug {
    /// The record `seq` is durable; `line` is all of it, without the newline.
    fn appended(&mut self, seq: u64, line: &[u8]);
}
