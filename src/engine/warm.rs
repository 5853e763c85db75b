//! Entities that were made a moment ago, as Cedar's evaluator takes them.
//!
//! Making one of its packed form costs more than looking at it, and the same
//! principals and resources come back. Each thread keeps some; one is given again
//! if it is of the very same stored entity and has the very same ancestors, so it
//! is what would be made.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::Hasher as _;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::entities::Entities;
use rustc_hash::FxHasher;

use super::named::Named;
use super::packed::Damaged;
use super::packed::Types;
use super::stored::Stored;
use super::view::closed;

/// How many pairs of entities a thread keeps.
const PAIRS: u64 = 512;
/// How many sets of entities a thread keeps, and of how many entities.
const SLICES: u64 = 256;
const TOGETHER_MAX: usize = 16;
/// Entities with more packed bytes are made each time: some of them would fill
/// the memory.
const BYTES_MAX: usize = 4096;
/// As entities with more ancestors are: each has a copy of all of them.
const ANCESTORS_MAX: usize = 64;

/// An entity with what it was made of.
struct Warm {
    stored: Arc<Stored>,
    ancestors: Box<[Named]>,
    entity: Arc<Entity>,
}

/// Two that came last of those with one place.
type Pair = [Option<Warm>; 2];

/// A set of entities with what it was made of. While it is here, no other entity
/// can be at the place in memory of one of them.
struct Together {
    gathered: Vec<Arc<Entity>>,
    entities: Arc<Entities>,
}

thread_local! {
    /// Two places for each hash; a newcomer takes the place of what came before
    /// the last.
    static WARM: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
    /// A place for each hash; a newcomer takes the place of what was there.
    static TOGETHER: RefCell<Vec<Option<Together>>> = const { RefCell::new(Vec::new()) };
}

/// The entity with these ancestors, which are all it has or none at all.
///
/// # Errors
/// When the stored entity is damaged.
pub(super) fn entity(
    named: &Named,
    stored: &Arc<Stored>,
    ancestors: &[&Named],
    types: &Types,
) -> Result<Arc<Entity>, Damaged> {
    if !keeps(stored, ancestors) {
        return make(named, stored, ancestors, types);
    }
    let pair = named.atom().wrapping_add(u64::from(ancestors.is_empty())) % PAIRS;
    let pair = usize::try_from(pair).unwrap_or_default();
    WARM.with_borrow_mut(|warm| {
        if warm.is_empty() {
            warm.resize_with(usize::try_from(PAIRS).unwrap_or_default(), Pair::default);
        }
        let Some(pair) = warm.get_mut(pair) else {
            return make(named, stored, ancestors, types);
        };
        let mut kept = pair.iter().flatten();
        if let Some(warm) = kept.find(|warm| warm.is_of(named, stored, ancestors)) {
            return Ok(Arc::clone(&warm.entity));
        }
        let entity = make(named, stored, ancestors, types)?;
        let [newer, older] = pair;
        *older = newer.replace(Warm {
            stored: Arc::clone(stored),
            ancestors: ancestors.iter().copied().cloned().collect(),
            entity: Arc::clone(&entity),
        });
        Ok(entity)
    })
}

/// Whether an entity with these ancestors may be kept.
pub(super) fn keeps(stored: &Stored, ancestors: &[&Named]) -> bool {
    stored.packed_len() <= BYTES_MAX && ancestors.len() <= ANCESTORS_MAX
}

/// All of these together, as Cedar's evaluator takes them; their ancestors are
/// closed already. Putting them into its hash map costs as much as finding them,
/// and the same ones come together again. For entities that are kept: others are
/// never the same again.
///
/// # Errors
/// What Cedar says of two that are different and have one name.
pub(super) fn together(gathered: Vec<Arc<Entity>>) -> Result<Arc<Entities>, String> {
    if gathered.len() > TOGETHER_MAX {
        return closed(gathered).map(Arc::new);
    }
    let mut hasher = FxHasher::default();
    for entity in &gathered {
        hasher.write_usize(Arc::as_ptr(entity).addr());
    }
    let place = usize::try_from(hasher.finish() % SLICES).unwrap_or_default();
    TOGETHER.with_borrow_mut(|kept| {
        if kept.is_empty() {
            kept.resize_with(usize::try_from(SLICES).unwrap_or_default(), || None);
        }
        let is_of = |together: &&Together| {
            let (these, those) = (&together.gathered, &gathered);
            these.len() == those.len() && these.iter().zip(those).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let place = kept.get_mut(place);
        if let Some(together) = place.as_deref().and_then(Option::as_ref).filter(is_of) {
            return Ok(Arc::clone(&together.entities));
        }
        let entities = Arc::new(closed(gathered.iter().cloned())?);
        if let Some(place) = place {
            *place = Some(Together {
                gathered,
                entities: Arc::clone(&entities),
            });
        }
        Ok(entities)
    })
}

impl Warm {
    /// A stored entity never changes, so the same one has the same attributes.
    fn is_of(&self, named: &Named, stored: &Arc<Stored>, ancestors: &[&Named]) -> bool {
        Arc::ptr_eq(&self.stored, stored)
            && self.ancestors.len() == ancestors.len()
            && self.ancestors.iter().zip(ancestors).all(|(a, b)| a == *b)
            && self.entity.uid() == &**named.uid()
    }
}

fn make(
    named: &Named,
    stored: &Stored,
    ancestors: &[&Named],
    types: &Types,
) -> Result<Arc<Entity>, Damaged> {
    let (attributes, tags) = stored.unpack(types)?;
    let whole = |(name, value)| (name, PartialValue::Value(value));
    Ok(Arc::new(Entity::new_with_attr_partial_value(
        EntityUID::clone(named.uid()),
        attributes.into_iter().map(whole),
        ancestors
            .iter()
            .map(|ancestor| EntityUID::clone(ancestor.uid()))
            .collect(),
        HashSet::new(),
        tags.into_iter().map(whole),
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use cedar_policy_core::ast::Eid;
    use cedar_policy_core::ast::EntityType;
    use cedar_policy_core::ast::EntityUID;

    use super::ANCESTORS_MAX;
    use super::entity;
    use crate::engine::named::Named;
    use crate::engine::packed::Types;
    use crate::engine::stored::Ends;
    use crate::engine::stored::Stored;

    fn named(id: &str) -> Named {
        let entity_type = EntityType::from_normalized_str("Group").unwrap();
        let uid = EntityUID::from_components(entity_type, Eid::new(id), None);
        Named::new(Arc::new(uid))
    }

    /// Found: a thread could keep a thousand entities with four thousand ancestors
    /// each. Seen to fail when ancestors are not counted.
    #[test]
    fn entities_with_many_ancestors_are_not_kept() {
        let named_groups: Vec<_> = (0..=ANCESTORS_MAX).map(|n| named(&n.to_string())).collect();
        let groups: Vec<_> = named_groups.iter().collect();
        for (count, is_kept) in [(0, true), (ANCESTORS_MAX, true), (ANCESTORS_MAX + 1, false)] {
            let name = named("member");
            let nothing = BTreeMap::new();
            let stored = Stored::new(
                name.clone(),
                1,
                Vec::new(),
                Ends::default(),
                &nothing,
                &BTreeMap::new(),
            );
            let stored = Arc::new(stored);
            let make = || entity(&name, &stored, &groups[..count], &Types::default()).unwrap();
            assert_eq!(Arc::ptr_eq(&make(), &make()), is_kept, "{count}");
        }
    }
}
