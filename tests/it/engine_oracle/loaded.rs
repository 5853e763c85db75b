//! A world as the engine loads it and as Cedar does, and what both answer.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::AuthorizationError;
use cedar_policy::Authorizer;
use cedar_policy::Context;
use cedar_policy::Entities;
use cedar_policy::EntityUid;
use cedar_policy::PolicyId;
use cedar_policy::PolicySet;
use cedar_policy::Request;
use cedar_policy::Schema;
use cedar_policy::SlotId;
use cedar_policy_core::ast;
use deodar::directory;
use deodar::engine::Decision;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::engine::query::QueryError;
use serde_json::Value as Json;
use serde_json::json;

use super::world::Ask;
use super::world::Thing;
use super::world::Uid;
use super::world::World;
use super::world::entity_json;
use super::world::literal;
use super::world::schema;
use super::world::things_json;
use super::world::uid_json;

pub const CEDAR: &str = "errors = \"cedar\"\nunknown = \"cedar\"\nvalidate = \"off\"\n";
pub const DENY: &str = "errors = \"deny\"\nunknown = \"cedar\"\nvalidate = \"off\"\n";

/// What either answered; errors with their messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub allow: bool,
    pub reasons: BTreeSet<String>,
    pub errors: BTreeMap<String, String>,
}

impl From<&Decision> for Answer {
    fn from(decision: &Decision) -> Self {
        let errors = decision.errors.iter();
        Self {
            allow: decision.is_allow(),
            reasons: decision
                .policies
                .iter()
                .map(|policy| policy.id.to_string())
                .collect(),
            errors: errors
                .map(|error| (error.policy.id.to_string(), error.message.clone()))
                .collect(),
        }
    }
}

/// The engine's side.
pub struct Engine {
    pub snapshot: Snapshot,
    pub view: View,
}

impl Engine {
    pub fn new(world: &World, manifest: &str) -> Self {
        Self::of_files(&files(world, manifest))
    }

    pub fn of_files(files: &Files) -> Self {
        let snapshot = compile(files).unwrap_or_else(|faults| panic!("{faults:#?}\n{files:?}"));
        let view = directory::load(&snapshot, files)
            .unwrap_or_else(|faults| panic!("{faults:#?}\n{files:?}"));
        Self { snapshot, view }
    }

    pub fn decide(&self, query: &Query) -> Result<Decision, QueryError> {
        decide(&self.snapshot, &self.view, query)
    }

    pub fn answer(&self, query: &Query) -> Answer {
        Answer::from(&self.decide(query).unwrap())
    }
}

/// The files of a world: manifest, schema, policies, entities, links.
pub fn files(world: &World, manifest: &str) -> Files {
    Files::new(file_list(world, manifest))
}

pub fn file_list(world: &World, manifest: &str) -> Vec<(String, Vec<u8>)> {
    let links: Vec<Json> = world
        .links
        .iter()
        .map(|link| {
            let slots = [
                ("?principal", &link.principal),
                ("?resource", &link.resource),
            ];
            let args: BTreeMap<_, _> = slots
                .iter()
                .filter_map(|(slot, uid)| Some((*slot, literal(uid.as_ref()?))))
                .collect();
            json!({"template_id": link.template, "link_id": link.id, "args": args})
        })
        .collect();
    let mut files = vec![
        ("manifest.toml".to_owned(), manifest.into()),
        (
            "entities/all.json".to_owned(),
            things_json(&world.things).to_string().into_bytes(),
        ),
        (
            "links/all.json".to_owned(),
            Json::Array(links).to_string().into_bytes(),
        ),
    ];
    if world.has_schema {
        files.push(("world.cedarschema".to_owned(), schema().into_bytes()));
    }
    let policies = world.files.iter();
    files.extend(policies.map(|(path, text)| (path.clone(), text.clone().into_bytes())));
    files
}

/// Cedar's side.
pub struct Oracle {
    schema: Option<Schema>,
    policies: PolicySet,
}

impl Oracle {
    /// The same policies under the ids that the engine gives them.
    pub fn new(world: &World) -> Self {
        let schema = world
            .has_schema
            .then(|| Schema::from_cedarschema_str(&schema()).unwrap().0);
        let mut policies = PolicySet::new();
        for (file, text) in &world.files {
            let parsed: PolicySet = text.parse().unwrap();
            for policy in parsed.policies() {
                let id = engine_id(file, policy.annotation("id"), policy.id());
                policies.add(policy.new_id(id)).unwrap();
            }
            for template in parsed.templates() {
                let id = engine_id(file, template.annotation("id"), template.id());
                policies.add_template(template.new_id(id)).unwrap();
            }
        }
        for link in &world.links {
            let slots = [
                (SlotId::principal(), &link.principal),
                (SlotId::resource(), &link.resource),
            ];
            let slots: HashMap<_, _> = slots
                .into_iter()
                .filter_map(|(slot, uid)| Some((slot, cedar_uid(uid.as_ref()?))))
                .collect();
            policies
                .link(
                    PolicyId::new(&link.template),
                    PolicyId::new(&link.id),
                    slots,
                )
                .unwrap();
        }
        Self { schema, policies }
    }

    pub fn entities(&self, things: &BTreeMap<Uid, Thing>) -> Entities {
        Entities::from_json_value(things_json(things), self.schema.as_ref()).unwrap()
    }

    pub fn answer(&self, ask: &Ask, entities: &Entities) -> Answer {
        let context = Context::from_json_value(json!(ask.context), None).unwrap();
        let [principal, action, resource] =
            [&ask.principal, &ask.action, &ask.resource].map(cedar_uid);
        let request = Request::new(principal, action, resource, context, None).unwrap();
        let response = Authorizer::new().is_authorized(&request, &self.policies, entities);
        let errors = response.diagnostics().errors();
        Answer {
            allow: response.decision() == cedar_policy::Decision::Allow,
            reasons: response
                .diagnostics()
                .reason()
                .map(ToString::to_string)
                .collect(),
            errors: errors
                .map(|error| match error {
                    AuthorizationError::PolicyEvaluationError(error) => {
                        (error.policy_id().to_string(), error.inner().to_string())
                    }
                })
                .collect(),
        }
    }
}

fn engine_id(file: &str, written: Option<&str>, cedar: &PolicyId) -> PolicyId {
    match written {
        Some(id) => PolicyId::new(id),
        None => PolicyId::new(format!(
            "{file}#{}",
            cedar.to_string().trim_start_matches("policy")
        )),
    }
}

pub fn cedar_uid(uid: &Uid) -> EntityUid {
    EntityUid::from_json(uid_json(uid)).unwrap()
}

pub fn core_uid(uid: &Uid) -> Arc<ast::EntityUID> {
    Arc::new(cedar_uid(uid).as_ref().clone())
}

pub fn values(context: &Json) -> Arc<deodar::engine::query::Context> {
    let context = Context::from_json_value(context.clone(), None).unwrap();
    match context.as_ref() {
        ast::Context::Value(values) => Arc::clone(values),
        ast::Context::RestrictedResidual(_) => panic!("a partial context"),
    }
}

pub fn core_entity(json: Json) -> ast::Entity {
    let entity = cedar_policy::Entity::from_json_value(json, None).unwrap();
    let core: &ast::Entity = entity.as_ref();
    core.clone()
}

/// The question as the engine takes it, not checked against any schema.
pub fn query(ask: &Ask) -> Query {
    Query {
        principal: core_uid(&ask.principal),
        action: core_uid(&ask.action),
        resource: core_uid(&ask.resource),
        context: values(&json!(ask.context)),
        overlay: ask
            .carried
            .iter()
            .map(|(uid, thing)| core_entity(entity_json(uid, thing)))
            .collect(),
    }
}
