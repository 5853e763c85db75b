//! Entities that were made a moment ago, as Cedar's evaluator takes them.
//!
//! Making one of its packed form costs more than looking at it, and the same
//! principals and resources come back. Each thread keeps some; one is given again
//! if it is of the very same stored entity and has the very same ancestors, so it
//! is what would be made.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;

use super::named::Named;
use super::packed::Damaged;
use super::packed::Types;
use super::stored::Stored;

/// How many entities a thread keeps.
const KEPT: u64 = 1024;
/// Entities with more packed bytes are made each time: some of them would fill
/// the memory.
const BYTES_MAX: usize = 4096;

/// An entity with what it was made of.
struct Warm {
    stored: Arc<Stored>,
    ancestors: Box<[Named]>,
    entity: Arc<Entity>,
}

thread_local! {
    /// A place for each hash; a newcomer takes the place of what was there.
    static WARM: RefCell<Vec<Option<Warm>>> = const { RefCell::new(Vec::new()) };
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
    if stored.packed_len() > BYTES_MAX {
        return make(named, stored, ancestors, types);
    }
    let place = named.atom().wrapping_add(u64::from(ancestors.is_empty())) % KEPT;
    let place = usize::try_from(place).unwrap_or_default();
    WARM.with_borrow_mut(|warm| {
        if warm.is_empty() {
            warm.resize_with(usize::try_from(KEPT).unwrap_or_default(), || None);
        }
        let place = warm.get_mut(place);
        if let Some(Some(warm)) = &place
            && warm.is_of(named, stored, ancestors)
        {
            return Ok(Arc::clone(&warm.entity));
        }
        let entity = make(named, stored, ancestors, types)?;
        if let Some(place) = place {
            *place = Some(Warm {
                stored: Arc::clone(stored),
                ancestors: ancestors.iter().copied().cloned().collect(),
                entity: Arc::clone(&entity),
            });
        }
        Ok(entity)
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
