//! The task of the control line: reads the policies anew when their files change,
//! and tries again what only the directory stood against.

use std::time::Duration;

use tokio::sync::watch;

use super::ready_if;
use super::reload::Reload;
use super::run_apart;
use crate::directory::revision::Revision;
use crate::serve::phase::Announcer;
use crate::source::Watch;
use crate::telemetry::events;

/// The least between two attempts with the same files.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// An attempt looks at what is stored, on the thread that writes it: it waits so
/// many times as long as the last one took.
const PAUSE_FACTOR: u32 = 20;
/// How long the directory is waited for to change, after that. One that cannot be
/// written does not, and is tried all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the files of policies, and the directory while it stands against them,
/// until watching ends.
pub(super) async fn follow(
    mut watch: Watch,
    mut reload: Reload,
    phase: Announcer,
    debounce: Duration,
) {
    let mut heads = reload.directory().heads();
    let pause_min = debounce.max(PAUSE_MIN);
    loop {
        let attempt = tokio::select! {
            is_watched = watch.changed() => {
                if !is_watched {
                    return events::control_line_ended("the system ended the watch");
                }
                Reload::run
            }
            () = again(reload.held_back(), pause_min, &mut heads) => Reload::run_again,
        };
        // What changes from here on, the attempt may not see.
        heads.mark_unchanged();
        match run_apart(reload, attempt).await {
            Ok((back, outcome)) => {
                ready_if(&outcome, &phase);
                reload = back;
            }
            Err(error) => return events::control_line_ended(&error.to_string()),
        }
    }
}

/// Returns when it is time to try again; never, when nothing is held back.
async fn again(
    held_back: Option<Duration>,
    pause_min: Duration,
    heads: &mut watch::Receiver<Revision>,
) {
    let Some(took) = held_back else {
        return std::future::pending().await;
    };
    let pause = pause_min.max(took.saturating_mul(PAUSE_FACTOR));
    tokio::time::sleep(pause).await;
    // Both ends of it say the same.
    tokio::time::timeout(PATIENCE, heads.changed()).await.ok();
}
