//! Lists of entities and links, beside what is there.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use deodar::directory::Tip;
use deodar::directory::record::EntityFilter;
use deodar::directory::record::EntityRecord;
use deodar::directory::record::LinkFilter;
use deodar::directory::record::LinkRecord;
use smol_str::SmolStr;

use super::drafts;
use super::plain::key;
use super::site::uid;
use crate::engine_oracle::dice::Dice;

/// Lists with filters thrown by the dice, page by page, are what is there.
pub fn compare(
    tip: &Tip,
    dice: &mut Dice,
    all: &[EntityRecord],
    links: &[LinkRecord],
    is_indexed: bool,
) {
    compare_entities(tip, dice, all, is_indexed);
    compare_links(tip, dice, links);
}

fn compare_entities(tip: &Tip, dice: &mut Dice, all: &[EntityRecord], is_indexed: bool) {
    let filter = EntityFilter {
        entity_type: dice.chance(1, 3).then(|| some(dice).entity_type().clone()),
        id_prefix: dice
            .chance(1, 3)
            .then(|| SmolStr::new(dice.pick(&["", "a", "b", "ab"]))),
        parent: dice
            .chance(1, 3)
            .then(|| uid(&format!("Group::{}", dice.pick(drafts::IDS)))),
        attribute: dice.chance(1, 3).then(|| {
            let number = i64::try_from(dice.below(3)).unwrap();
            match dice.below(3) {
                0 => (SmolStr::new("boss"), Value::new(uid("User::a"), None)),
                1 => (SmolStr::new("name"), Value::from("x")),
                _ => (SmolStr::new("level"), Value::from(number)),
            }
        }),
    };
    let holds = |record: &&EntityRecord| {
        let (kind, id) = key(&record.uid);
        filter
            .entity_type
            .as_ref()
            .is_none_or(|wanted| wanted.to_string() == kind)
            && filter
                .id_prefix
                .as_ref()
                .is_none_or(|prefix| id.starts_with(prefix.as_str()))
            && filter
                .parent
                .as_ref()
                .is_none_or(|wanted| record.parents.iter().any(|parent| parent.uid == *wanted))
            && filter
                .attribute
                .as_ref()
                .is_none_or(|(name, value)| record.attributes.get(name) == Some(value))
    };
    let expected: Vec<_> = all.iter().filter(holds).cloned().collect();
    let max = 1 + dice.below(4);
    let mut listed = Vec::new();
    let mut after = None;
    // An index has nothing but what is looked for.
    let is_sharp = filter.entity_type.is_none()
        && filter.id_prefix.is_none()
        && match (&filter.parent, &filter.attribute) {
            (None, Some((name, _))) => is_indexed && name != "name",
            (Some(_), None) => true,
            _ => false,
        };
    loop {
        assert!(listed.len() <= expected.len(), "{filter:?}");
        let page = tip.entities(&filter, after.as_ref(), max);
        assert!(page.items.len() <= max);
        assert!(
            !is_sharp || after.is_none() || !page.items.is_empty(),
            "{filter:?}"
        );
        assert!(
            !is_sharp || !page.has_more || page.items.len() == max,
            "{filter:?}"
        );
        listed.extend(page.items);
        if !page.has_more {
            break;
        }
        after = page.last;
    }
    assert_eq!(listed, expected, "{filter:?}");
}

fn compare_links(tip: &Tip, dice: &mut Dice, links: &[LinkRecord]) {
    let max = 1 + dice.below(4);
    let filter = LinkFilter {
        template: dice
            .chance(1, 3)
            .then(|| SmolStr::new(dice.pick(&["one", "both"]))),
        principal: dice.chance(1, 3).then(|| some(dice)),
        resource: dice.chance(1, 3).then(|| some(dice)),
    };
    let holds = |record: &&LinkRecord| {
        let link = &record.link;
        filter
            .template
            .as_ref()
            .is_none_or(|wanted| *wanted == link.template)
            && (filter.principal.is_none() || filter.principal == link.principal)
            && (filter.resource.is_none() || filter.resource == link.resource)
    };
    let expected: Vec<_> = links.iter().filter(holds).cloned().collect();
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        assert!(listed.len() <= expected.len(), "{filter:?}");
        let page = tip.links(&filter, after.as_ref(), max);
        listed.extend(page.items);
        if !page.has_more {
            break;
        }
        after = page.last;
    }
    assert_eq!(listed, expected, "{filter:?}");
}

fn some(dice: &mut Dice) -> Arc<EntityUID> {
    let (kind, id) = (dice.pick(drafts::TYPES), dice.pick(drafts::IDS));
    uid(&format!("{kind}::{id}"))
}
