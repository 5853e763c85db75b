//! Lists of entities and links, page by page.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdSet;

use super::record::Cursor;
use super::record::EntityFilter;
use super::record::EntityRecord;
use super::record::LinkFilter;
use super::record::LinkRecord;
use super::record::Page;
use super::tip::Tip;
use super::tip::packed;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::stored::Stored;

/// For each item asked for, so many are looked at before a page ends short.
const LOOKED_AT: usize = 100;

impl Tip {
    /// Entities in order of type and id, from after a cursor.
    pub fn entities(
        &self,
        filter: &EntityFilter,
        after: Option<&Cursor>,
        max: usize,
    ) -> Page<EntityRecord> {
        let max = max.max(1);
        let wanted = filter
            .attribute
            .as_ref()
            .map(|(name, value)| (name.clone(), packed(value)));
        let indexed = wanted
            .as_ref()
            .and_then(|(name, value)| self.state.with_attribute(name, value));
        let members = filter
            .parent
            .as_ref()
            .map(|parent| self.state.member_set(Probe::new(parent)));
        let nothing = OrdSet::new();
        let candidates: &OrdSet<Named> = match (&indexed, members) {
            (Some(indexed), _) => indexed,
            (None, Some(members)) => members.unwrap_or(&nothing),
            (None, None) => self.state.ordered(),
        };
        let start = match after {
            Some(Cursor::Entity(uid)) => Bound::Excluded(Named::new(Arc::clone(uid))),
            _ => Bound::Unbounded,
        };
        let holds = |named: &Named, stored: &Stored| {
            let id: &str = named.uid().eid().as_ref();
            filter
                .entity_type
                .as_ref()
                .is_none_or(|wanted| named.uid().entity_type() == wanted)
                && filter
                    .id_prefix
                    .as_ref()
                    .is_none_or(|prefix| id.starts_with(prefix.as_str()))
                && filter.parent.as_ref().is_none_or(|parent| {
                    stored.parents.iter().any(|found| *found.uid() == *parent)
                })
                && wanted.as_ref().is_none_or(|(name, value)| {
                    matches!(stored.packed_attribute(name), Ok(Some(found)) if found == value.as_slice())
                })
        };
        let mut page = Page {
            items: Vec::new(),
            has_more: false,
            last: None,
        };
        let found = candidates.range((start, Bound::Unbounded));
        for (looked_at, named) in found.enumerate() {
            if page.items.len() >= max || looked_at >= max.saturating_mul(LOOKED_AT) {
                page.has_more = true;
                break;
            }
            page.last = Some(Cursor::Entity(Arc::clone(named.uid())));
            if let Some(stored) = self.state.view.get(named.probe())
                && holds(named, stored)
            {
                page.items.push(self.record(named, stored));
            }
        }
        page
    }

    /// Links in order of id, from after a cursor.
    pub fn links(
        &self,
        filter: &LinkFilter,
        after: Option<&Cursor>,
        max: usize,
    ) -> Page<LinkRecord> {
        let max = max.max(1);
        let start = match after {
            Some(Cursor::Link(id)) => Bound::Excluded(id.clone()),
            _ => Bound::Unbounded,
        };
        let named = filter.resource.as_ref().or(filter.principal.as_ref());
        let of_entity = named.map(|uid| self.state.links_of(Probe::new(uid)));
        let range = (start, Bound::Unbounded);
        let rows: Box<dyn Iterator<Item = &super::state::LinkRow>> = match of_entity {
            Some(ids) => {
                let ids = ids.map(|ids| ids.range(range));
                let rows = ids.into_iter().flatten();
                Box::new(rows.filter_map(|id| self.state.link(id).map(|row| &**row)))
            }
            None => Box::new(self.state.links().range(range).map(|(_, row)| &**row)),
        };
        let mut page = Page {
            items: Vec::new(),
            has_more: false,
            last: None,
        };
        for (looked_at, row) in rows.enumerate() {
            if page.items.len() >= max || looked_at >= max.saturating_mul(LOOKED_AT) {
                page.has_more = true;
                break;
            }
            let link = &row.link;
            page.last = Some(Cursor::Link(link.id.clone()));
            let same = |wanted: &Option<_>, found: &Option<_>| wanted.is_none() || wanted == found;
            let template = filter.template.as_ref();
            let holds = template.is_none_or(|wanted| *wanted == link.template)
                && same(&filter.principal, &link.principal)
                && same(&filter.resource, &link.resource);
            if holds {
                page.items.push(LinkRecord {
                    link: link.clone(),
                    version: row.version,
                });
            }
        }
        page
    }
}
