//! What a log has after a state, applied to it.

use super::apply::Application;
use super::codec;
use super::log::Head;
use super::log::Log;
use super::state::State;
use crate::engine::footprint::Half;
use crate::engine::packed::Types;
use crate::engine::scope::Atom;

/// Entries that are read at once, and their bytes.
const ENTRIES: usize = 4096;
const BYTES: usize = 16 << 20;

/// Applies what the log has after a head, which moves along; gives how many
/// operations there were.
///
/// # Errors
/// When the log cannot be read, or does not fit the state.
pub fn catch_up(
    log: &dyn Log,
    state: &mut State,
    head: &mut Head,
    types: &Types,
    changes: &mut Vec<(Atom, Half)>,
) -> Result<usize, String> {
    let mut operations = 0;
    loop {
        let entries = log.read(head.sequence, ENTRIES, BYTES);
        let entries = entries.map_err(|error| error.to_string())?;
        if entries.is_empty() {
            return Ok(operations);
        }
        for entry in entries {
            let damaged = |what: &dyn std::fmt::Display| {
                format!(
                    "transaction {} of the log is damaged: {what}",
                    entry.sequence
                )
            };
            let steps = codec::steps(&entry.body, types).map_err(|fault| damaged(&fault))?;
            operations += steps.len();
            let mut application = Application {
                state,
                types,
                sequence: entry.sequence,
                changes: Vec::new(),
            };
            for step in &steps {
                let outcome = application.repeat(step);
                outcome.map_err(|wrong| damaged(&wrong.at("operations").message))?;
            }
            changes.append(&mut application.changes);
            *head = Head {
                log: head.log,
                sequence: entry.sequence,
                hash: entry.hash,
            };
        }
    }
}
