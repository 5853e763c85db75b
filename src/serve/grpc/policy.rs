//! `deodar.v1.PolicyService`.

use std::sync::Arc;
use std::time::SystemTime;

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::authorization::compressed_above;
use super::directory_room::Room;
use super::status::Refusal;
use super::status::WireError;
use super::wire::count;
use super::wire::policy_ref;
use super::wire::store;
use crate::engine::Fault;
use crate::engine::access::Access;
use crate::engine::access::ContextKeys;
use crate::engine::policy::Policy;
use crate::engine::policy::PolicyInfo;
use crate::pdp::Pdp;
use crate::pdp::state::Active;
use crate::pdp::state::Rejected;
use crate::proto::v1;
use crate::proto::v1::policy_service_server::PolicyService;

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// At most so many faults or warnings are told at once.
const FAULTS_MAX: usize = 100;

/// The service.
#[derive(Debug, Clone)]
pub struct Policies {
    pdp: Arc<Pdp>,
    compress_above_bytes: usize,
    room: Arc<Room>,
}

impl Policies {
    /// The service over a decision point.
    pub fn new(pdp: Arc<Pdp>, compress_above_bytes: usize) -> Self {
        Self {
            pdp,
            compress_above_bytes,
            room: Arc::new(Room::new(0)),
        }
    }

    fn list(&self, request: &v1::ListPoliciesRequest) -> Result<v1::ListPoliciesResponse, Refusal> {
        store(&request.store)?;
        let pinned = self.pdp.pin()?;
        let active = pinned.active();
        let size = match request.page_size {
            0 => PAGE_DEFAULT,
            size => size.min(PAGE_MAX),
        };
        let after = after(&request.page_token, &active.policies.revision)?;
        let size = size as usize;
        let wanted =
            |entry: &Listed<'_>| request.kind == 0 || request.kind == i32::from(entry.kind);
        // There can be a million links, which are in order: of these no more are
        // looked at than a page can have, and whether there is one more.
        let mut all: Vec<_> = of_repository(active)
            .filter(|entry| after.is_none_or(|after| entry.info.id.as_str() > after))
            .chain(active.view.links().after(after).map(of_link).take(size + 1))
            .filter(wanted)
            .collect();
        all.sort_by(|a, b| a.info.id.cmp(&b.info.id));
        let rest = all.len() > size;
        all.truncate(size);
        let next = all.last().filter(|_| rest).map(|last| {
            let revision: String = active
                .policies
                .revision
                .chars()
                .take(TOKEN_REVISION)
                .collect();
            format!("{revision}:{}", last.info.id)
        });
        Ok(v1::ListPoliciesResponse {
            policies: all.iter().map(Listed::write).collect(),
            next_page_token: next.unwrap_or_default(),
            policy_revision: active.policies.revision.clone(),
        })
    }

    fn get(&self, request: &v1::GetPolicyRequest) -> Result<v1::GetPolicyResponse, Refusal> {
        store(&request.store)?;
        let pinned = self.pdp.pin()?;
        let active = pinned.active();
        let link = active.view.links().get(&request.id);
        let found = link
            .map(|link| of_link(link))
            .or_else(|| of_repository(active).find(|entry| entry.info.id == request.id));
        match found {
            Some(entry) => Ok(v1::GetPolicyResponse {
                policy: Some(entry.write()),
                policy_revision: active.policies.revision.clone(),
            }),
            None => Err(Refusal::NoPolicy(request.id.chars().take(128).collect())),
        }
    }

    fn status(&self, request: &v1::GetStatusRequest) -> Result<v1::GetStatusResponse, Refusal> {
        store(&request.store)?;
        let state = self.pdp.state();
        Ok(v1::GetStatusResponse {
            active: state.load_full().map(|active| write_active(&active)),
            rejected: state.rejected().map(|rejected| write_rejected(&rejected)),
            activations: state.activations(),
            rejections: state.rejections(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// So much of the policy revision is in a page token.
const TOKEN_REVISION: usize = 16;

/// The id that a page token continues after.
fn after<'a>(token: &'a str, revision: &str) -> Result<Option<&'a str>, WireError> {
    if token.is_empty() {
        return Ok(None);
    }
    let hint = "start again without a token";
    match token.split_once(':') {
        Some((of, id)) if of.len() == TOKEN_REVISION && revision.starts_with(of) => Ok(Some(id)),
        Some(_) => Err(WireError::new(
            "page_token",
            "is of another policy revision",
            hint,
        )),
        None => Err(WireError::new("page_token", "is not a page token", hint)),
    }
}

/// A policy, template or link as it is listed.
struct Listed<'a> {
    info: &'a PolicyInfo,
    kind: v1::PolicyKind,
    access: &'a Access,
}

/// Everything but links: as much as the policy repository has.
fn of_repository(active: &Active) -> impl Iterator<Item = Listed<'_>> {
    let policies = active.snapshot().rules().iter().map(|policy| Listed {
        info: &policy.info,
        kind: v1::PolicyKind::Static,
        access: &policy.access,
    });
    let templates = active.snapshot().templates().map(|template| Listed {
        info: &template.info,
        kind: v1::PolicyKind::Template,
        access: &template.access,
    });
    policies.chain(templates)
}

fn of_link(link: &Policy) -> Listed<'_> {
    Listed {
        info: &link.info,
        kind: v1::PolicyKind::Link,
        access: &link.access,
    }
}

impl Listed<'_> {
    fn write(&self) -> v1::Policy {
        v1::Policy {
            info: Some(policy_ref(self.info)),
            kind: self.kind.into(),
            text: self.info.text.to_string(),
            context_keys: match self.access.context_keys() {
                ContextKeys::All => vec!["*".to_owned()],
                ContextKeys::Only(keys) => keys.iter().map(ToString::to_string).collect(),
            },
        }
    }
}

fn write_active(active: &Active) -> v1::ActivePolicies {
    let warnings = active.snapshot().warnings().iter().take(FAULTS_MAX);
    v1::ActivePolicies {
        policy_revision: active.policies.revision.clone(),
        directory_revision: active.view.revision().to_string(),
        name: active.snapshot().manifest().name.clone(),
        origin: active.policies.origin.clone(),
        activated_at: Some(timestamp(active.policies.since)),
        policies: active.snapshot().rules().len() as u64,
        templates: active.snapshot().templates().count() as u64,
        links: active.view.links().len() as u64,
        entities: active.view.len() as u64,
        warnings: warnings.map(write_fault).collect(),
    }
}

fn write_rejected(rejected: &Rejected) -> v1::RejectedPolicies {
    let faults = rejected.faults.iter().take(FAULTS_MAX);
    v1::RejectedPolicies {
        rejected_at: Some(timestamp(rejected.at)),
        policy_revision: rejected.policy_revision.clone(),
        faults: faults.map(write_fault).collect(),
        left_out: count(rejected.faults.len().saturating_sub(FAULTS_MAX)),
    }
}

fn write_fault(fault: &Fault) -> v1::Fault {
    v1::Fault {
        file: fault.file.clone(),
        line: count(fault.line),
        column: count(fault.column),
        text: fault.text.clone(),
        message: fault.message.clone(),
        hint: fault.hint.clone().unwrap_or_default(),
    }
}

fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let status = self.status(request.get_ref())?;
        Ok(compressed_above(
            self.compress_above_bytes,
            request.metadata(),
            status,
        ))
    }

    async fn list_policies(
        &self,
        request: Request<v1::ListPoliciesRequest>,
    ) -> Result<Response<v1::ListPoliciesResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let service = self.clone();
        let list = self.room.run(move || service.list(&message)).await??;
        Ok(compressed_above(self.compress_above_bytes, &metadata, list))
    }

    async fn get_policy(
        &self,
        request: Request<v1::GetPolicyRequest>,
    ) -> Result<Response<v1::GetPolicyResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let service = self.clone();
        let policy = self.room.run(move || service.get(&message)).await??;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            policy,
        ))
    }
}
