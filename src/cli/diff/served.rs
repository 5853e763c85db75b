//! The policies of a running server.
//!
//! A server tells the texts of its policies and templates, and the revision of these
//! with schema and manifest. Schema, manifest, entities and links themselves are taken
//! from the other side.

use std::collections::BTreeMap;

use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::cli::server::connect;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::engine::Files;
use crate::engine::files::Role;
use crate::proto::v1;
use crate::proto::v1::policy_service_client::PolicyServiceClient;

/// Policies of a page.
const PAGE: u32 = 1000;
/// Bytes of one answer that are taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What a server told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The revision of its policies, schema and manifest.
    pub revision: String,
    /// It is that of the other side.
    pub is_of_other_side: bool,
}

/// The files that would make a server serve what it serves.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn files(
    server: &ServerAddress,
    other: &Files,
    notes: &mut Vec<String>,
) -> Result<(Files, Served), Failure> {
    let (policies, revision) = block_on(policies(server))?;
    let mut files: Vec<(String, Vec<u8>)> = policies.into_iter().collect();
    for role in [Role::Schema, Role::Manifest, Role::Entities, Role::Links] {
        let same = other.with_role(role);
        files.extend(same.map(|(path, content)| (path.to_owned(), content.to_owned())));
    }
    let is_of_other_side = revision == other.policy_digest().to_string();
    notes.push(if is_of_other_side {
        "its policies, schema and manifest are those of the other side, as its revision tells; \
         entities and links are taken from there, and so are not compared"
            .to_owned()
    } else {
        "a server tells its policies and templates; schema, manifest, entities and links are \
         taken from the other side, and so are not compared"
            .to_owned()
    });
    let served = Served {
        revision,
        is_of_other_side,
    };
    Ok((Files::new(files), served))
}

/// Policies and templates by file, each in the order that it had there, so that
/// those without an id are called the same; and their revision, which pages share.
async fn policies(server: &ServerAddress) -> Result<(BTreeMap<String, Vec<u8>>, String), Failure> {
    let channel = connect(server).await?;
    let mut client = PolicyServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut texts: BTreeMap<(String, u32, String), String> = BTreeMap::new();
    let mut token = String::new();
    let revision = loop {
        let request = v1::ListPoliciesRequest {
            page_size: PAGE,
            page_token: token,
            ..v1::ListPoliciesRequest::default()
        };
        let page = client.list_policies(in_time(request)).await;
        let page = page.map_err(|status| refused(&status))?.into_inner();
        for policy in page.policies {
            if policy.kind() == v1::PolicyKind::Link {
                continue;
            }
            let info = policy.info.unwrap_or_default();
            texts.insert((info.file, info.line, info.id), policy.text);
        }
        token = page.next_page_token;
        if token.is_empty() {
            break page.policy_revision;
        }
    };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for ((file, ..), text) in texts {
        if Role::of(&file) != Some(Role::Policies) {
            let message =
                format!("the server told of a policy in `{file}`, which is no policy file");
            return Err(Failure::Failed(Message::new(message, "is it a deodar?")));
        }
        let content = files.entry(file).or_default();
        content.extend_from_slice(text.as_bytes());
        content.push(b'\n');
    }
    Ok((files, revision))
}
