//! Lists under way: each goes on at the revision that it began with.

use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::status::Refusal;
use super::status::WireError;
use crate::directory::Tip;
use crate::directory::record::Cursor;
use crate::directory::record::EntityFilter;
use crate::directory::record::LinkFilter;

/// Lists that are held, each with the state that it began with; of more, the
/// one that was not gone on with for longest is given up.
const HELD_MAX: usize = 16;
/// How long a list is held that nobody goes on with.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    Entities(EntityFilter),
    Links(LinkFilter),
}

/// A list under way.
#[derive(Debug, Clone)]
struct List {
    id: Uuid,
    tip: Arc<Tip>,
    filter: Filter,
    used: Instant,
}

/// All lists under way.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<Vec<List>>);

/// Where a list goes on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: Uuid,
    pub(super) tip: Arc<Tip>,
    pub(super) after: Cursor,
}

impl Lists {
    /// Holds a list from its first page on.
    pub(super) fn hold(&self, tip: Arc<Tip>, filter: Filter, now: Instant) -> Uuid {
        let id = Uuid::new_v4();
        let mut lists = self.0.lock();
        drop_idle(&mut lists, now);
        while lists.len() >= HELD_MAX {
            let oldest = lists.iter().enumerate().min_by_key(|(_, list)| list.used);
            let Some((at, _)) = oldest else { break };
            lists.swap_remove(at);
        }
        lists.push(List {
            id,
            tip,
            filter,
            used: now,
        });
        id
    }

    /// The place that a page token names.
    ///
    /// # Errors
    /// When it is no token, of a list with another filter, or of a list that is
    /// no longer held.
    pub(super) fn place(
        &self,
        token: &str,
        filter: &Filter,
        now: Instant,
    ) -> Result<Place, Refusal> {
        let hint = "start again without a token";
        let (id, after) = read_token(token)
            .ok_or_else(|| WireError::new("page_token", "is not a page token", hint))?;
        let mut lists = self.0.lock();
        drop_idle(&mut lists, now);
        let list = lists.iter_mut().find(|list| list.id == id);
        let list = list.ok_or(Refusal::ListGone)?;
        let is_of_filter = matches!(
            (&after, filter),
            (Cursor::Entity(_), Filter::Entities(_)) | (Cursor::Link(_), Filter::Links(_))
        );
        if list.filter != *filter || !is_of_filter {
            let message = "is of a list with another filter";
            return Err(WireError::new("page_token", message, hint).into());
        }
        list.used = now;
        Ok(Place {
            id,
            tip: Arc::clone(&list.tip),
            after,
        })
    }

    /// Gives up a list that came to its end.
    pub(super) fn end(&self, id: Uuid) {
        self.0.lock().retain(|list| list.id != id);
    }

    /// Gives up lists that nobody goes on with, so that they hold no memory.
    pub(super) fn sweep(&self, now: Instant) {
        drop_idle(&mut self.0.lock(), now);
    }
}

fn drop_idle(lists: &mut Vec<List>, now: Instant) {
    lists.retain(|list| now.saturating_duration_since(list.used) < IDLE_MAX);
}

/// The token of the page after a place: the list, a type or nothing, an id. The
/// list cannot be guessed; another place in it is no harm.
pub(super) fn token(list: Uuid, after: &Cursor) -> String {
    let list = list.simple();
    match after {
        Cursor::Entity(uid) => {
            let id: &str = uid.eid().as_ref();
            format!("{list}.{}.{id}", uid.entity_type())
        }
        Cursor::Link(id) => format!("{list}..{id}"),
    }
}

fn read_token(token: &str) -> Option<(Uuid, Cursor)> {
    let (list, rest) = token.split_once('.')?;
    let (entity_type, id) = rest.split_once('.')?;
    let cursor = if entity_type.is_empty() {
        Cursor::Link(id.into())
    } else {
        let entity_type = EntityType::from_normalized_str(entity_type).ok()?;
        let uid = EntityUID::from_components(entity_type, Eid::new(id), None);
        Cursor::Entity(Arc::new(uid))
    };
    Some((Uuid::try_parse(list).ok()?, cursor))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cedar_policy_core::ast::Eid;
    use cedar_policy_core::ast::EntityType;
    use cedar_policy_core::ast::EntityUID;
    use smol_str::SmolStr;
    use uuid::Uuid;

    use super::read_token;
    use super::token;
    use crate::directory::record::Cursor;

    #[test]
    fn tokens_are_read_as_written() {
        let list = Uuid::new_v4();
        for id in ["", ".", "a.b", "\u{0}\"\u{1f600}"] {
            let entity_type = EntityType::from_normalized_str("Iot::Device").unwrap();
            let uid = EntityUID::from_components(entity_type, Eid::new(id), None);
            for cursor in [
                Cursor::Entity(Arc::new(uid)),
                Cursor::Link(SmolStr::from(id)),
            ] {
                assert_eq!(read_token(&token(list, &cursor)), Some((list, cursor)));
            }
        }
        for bad in ["", "x", "x.y.z", "..", &format!("{list}.not a type.x")] {
            assert_eq!(read_token(bad), None, "{bad}");
        }
    }
}
