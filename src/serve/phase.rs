//! Whether the server takes work.

use tokio::sync::watch;

/// The life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No policies are in force yet.
    Starting,
    /// Questions are answered.
    Ready,
    /// About to drain: health says so, calls are still taken.
    Leaving,
    /// No new work is taken; what is under way ends.
    Draining,
}

/// Announces the phase.
pub type Announcer = watch::Sender<Phase>;
/// Follows the phase.
pub type Follower = watch::Receiver<Phase>;

/// A phase to announce and follow, at its beginning.
pub fn phases() -> (Announcer, Follower) {
    watch::channel(Phase::Starting)
}
