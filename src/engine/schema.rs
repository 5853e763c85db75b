//! What the engine asks of a schema, prepared for the decision path.

use std::sync::Arc;

use cedar_policy::Schema as CedarSchema;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::validator::ValidatorEntityTypeKind;
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::Type;
use rustc_hash::FxHashMap;

use super::named::Named;

/// A compiled schema: Cedar's own, and the look-ups that requests need.
#[derive(Debug)]
pub struct Schema {
    cedar: CedarSchema,
    types: FxHashMap<String, EntityType>,
    actions: FxHashMap<EntityUID, ActionFacts>,
    has_enumerated_types: bool,
}

/// What is known of one declared action.
#[derive(Debug)]
pub struct ActionFacts {
    /// The one uid that all requests share.
    pub uid: Arc<EntityUID>,
    /// The groups that the action is in, directly or not.
    pub ancestors: Box<[Named]>,
    /// The action as an entity, ancestors closed.
    pub entity: Arc<Entity>,
    /// The declared type of the context.
    pub context: Type,
    /// The schema declares `now: datetime` in the context of this action.
    pub takes_now: bool,
    /// The types of principal that may do this.
    pub principals: Vec<EntityType>,
    /// The types of resource that this may be done to.
    pub resources: Vec<EntityType>,
}

impl Schema {
    /// Prepares a schema that Cedar accepted. `actions` are its action entities.
    pub fn new(cedar: CedarSchema, actions: &cedar_policy_core::entities::Entities) -> Self {
        let validator: &ValidatorSchema = cedar.as_ref();
        let declared = validator.entity_type_names().cloned();
        let of_actions = actions
            .iter()
            .map(|action| action.uid().entity_type().clone());
        let types = declared
            .chain(of_actions)
            .map(|entity_type| (entity_type.to_string(), entity_type))
            .collect();
        let actions = actions
            .iter()
            .filter_map(|action| Some((action.uid().clone(), ActionFacts::new(validator, action)?)))
            .collect();
        let has_enumerated_types = validator
            .entity_types()
            .any(|declared| matches!(declared.kind, ValidatorEntityTypeKind::Enum(_)));
        Self {
            cedar,
            types,
            actions,
            has_enumerated_types,
        }
    }

    /// Cedar's own schema.
    pub fn cedar(&self) -> &CedarSchema {
        &self.cedar
    }

    /// Cedar's schema as its validator sees it.
    pub fn validator(&self) -> &ValidatorSchema {
        self.cedar.as_ref()
    }

    /// The declared entity or action type of this name.
    pub fn entity_type(&self, name: &str) -> Option<&EntityType> {
        self.types.get(name)
    }

    /// All declared entity and action types, in no order.
    pub fn entity_types(&self) -> impl Iterator<Item = &EntityType> {
        self.types.values()
    }

    /// The names of all declared entity and action types, in no order.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// A declared action.
    pub fn action(&self, uid: &EntityUID) -> Option<&ActionFacts> {
        self.actions.get(uid)
    }

    /// Whether ids of some types are limited to a list.
    pub fn has_enumerated_types(&self) -> bool {
        self.has_enumerated_types
    }

    /// All declared actions, groups too, in no order.
    pub fn actions(&self) -> impl Iterator<Item = &ActionFacts> {
        self.actions.values()
    }
}

impl ActionFacts {
    /// Whether the schema lets this type of principal do this to this type of
    /// resource.
    pub fn applies_to(&self, principal: &EntityUID, resource: &EntityUID) -> bool {
        self.principals.contains(principal.entity_type())
            && self.resources.contains(resource.entity_type())
    }

    /// `None` for an action that is only declared `external`.
    fn new(validator: &ValidatorSchema, action: &Entity) -> Option<Self> {
        let declared = validator.get_action_id(action.uid())?;
        let context = declared.context_type()?.clone();
        Some(Self {
            uid: Arc::new(action.uid().clone()),
            ancestors: action
                .ancestors()
                .map(|uid| Named::new(Arc::new(uid.clone())))
                .collect(),
            entity: Arc::new(action.clone()),
            takes_now: takes_now(&context),
            context,
            principals: declared.principals().cloned().collect(),
            resources: declared.resources().cloned().collect(),
        })
    }
}

fn takes_now(context: &Type) -> bool {
    let Type::Record { attrs, .. } = context else {
        return false;
    };
    attrs.get_attr("now").is_some_and(|attribute| {
        matches!(&*attribute.attr_type, Type::ExtensionType { name } if name.to_string() == "datetime")
    })
}
