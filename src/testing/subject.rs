//! The policies and templates of a repository, as those who test them count them.

use std::sync::Arc;

use cedar_policy_core::ast::Template;

use crate::engine::Snapshot;
use crate::engine::policy::PolicyInfo;

/// A static policy, or a template with all of its links.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// What people are shown.
    pub info: Arc<PolicyInfo>,
    /// Cedar's own, with source locations.
    pub cedar: &'a Template,
    /// Whether it decides through links only.
    pub is_template: bool,
}

/// All of them, in order of file and line.
pub fn subjects(snapshot: &Snapshot) -> Vec<Subject<'_>> {
    let policies = snapshot.rules().iter().map(|policy| Subject {
        info: Arc::clone(&policy.info),
        cedar: policy.cedar.template(),
        is_template: false,
    });
    let templates = snapshot.templates().map(|template| Subject {
        info: Arc::clone(&template.info),
        cedar: &template.cedar,
        is_template: true,
    });
    let mut all: Vec<Subject<'_>> = policies.chain(templates).collect();
    all.sort_by(|a, b| {
        let key = |subject: &Subject<'_>| (Arc::clone(&subject.info.file), subject.info.line);
        key(a).cmp(&key(b)).then_with(|| a.info.id.cmp(&b.info.id))
    });
    all
}

/// The id that a policy is counted under: that of its template, for a link.
pub fn counted_as(info: &PolicyInfo) -> &str {
    info.template.as_ref().unwrap_or(&info.id)
}
