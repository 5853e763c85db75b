//! Which records, as arguments.

use clap::Args;
use clap::ValueEnum;

use super::when::When;
use crate::audit::filter::Filter;
use crate::audit::filter::Outcome;
use crate::audit::filter::PartyFilter;
use crate::directory::time::Time;

/// Which records are meant; everything given has to hold.
#[derive(Debug, Args)]
pub struct FilterArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// With this decision
    #[arg(long, value_name = "DECISION")]
    decision: Option<DecisionArg>,
    /// Denied for this cause, such as forbidden or `no_permit`
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// With this policy among those that decided or failed
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// With policies whose revision begins so
    #[arg(long, value_name = "PREFIX")]
    revision: Option<String>,
    /// Part of this trace (W3C): 32 hexadecimal digits
    #[arg(long, value_name = "TRACE")]
    trace: Option<String>,
    /// Of the request that its caller named so (x-request-id)
    #[arg(long, value_name = "NAME")]
    request: Option<String>,
    /// The decision of this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Of this kind, such as decision or activation; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
}

/// When and what was asked, by whom; everything given has to hold.
#[derive(Debug, Args)]
pub struct AskedArgs {
    /// At this time or later: 2h, 7d, 03:12, yesterday, 2026-11-22T03:00
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    #[arg(long, value_name = "ENTITY|TYPE", value_parser = party, help = r#"With this principal, as in a policy: 'Type::"id"', or Type for all of it"#)]
    principal: Option<PartyFilter>,
    /// With this action
    #[arg(long, value_name = "ENTITY|TYPE", value_parser = party)]
    action: Option<PartyFilter>,
    /// With this resource
    #[arg(long, value_name = "ENTITY|TYPE", value_parser = party)]
    resource: Option<PartyFilter>,
    /// With a directory whose revision begins so
    #[arg(long, value_name = "PREFIX")]
    directory_revision: Option<String>,
    /// Asked by a caller whose name begins so, such as tcp:10.0.0.7:
    #[arg(long, value_name = "PREFIX")]
    caller: Option<String>,
}

/// A decision to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DecisionArg {
    Allow,
    Deny,
}

fn party(text: &str) -> Result<PartyFilter, String> {
    text.parse().map_err(|problem| {
        let hint = "; the double quotes belong to it: write 'Type::\"id\"' in single quotes";
        let hint = if text.contains("::") && !text.contains('"') {
            hint
        } else {
            ""
        };
        format!("{problem}{hint}")
    })
}

impl FilterArgs {
    /// The filter that is meant.
    pub fn filter(&self) -> Filter {
        Filter {
            kinds: self.kind.clone(),
            decision: self.decision.map(|decision| match decision {
                DecisionArg::Allow => Outcome::Allow,
                DecisionArg::Deny => Outcome::Deny,
            }),
            cause: self.cause.clone(),
            policy: self.policy.clone(),
            policies_revision: self.revision.clone(),
            trace: self.trace.clone(),
            request: self.request.clone(),
            id: self.id.clone(),
            ..self.asked.filter()
        }
    }
}

impl AskedArgs {
    /// The filter that is meant.
    pub fn filter(&self) -> Filter {
        let now = Time::System.millis();
        let until = self.until.map(|until| until.resolve_after(self.since, now));
        Filter {
            from: self.since.map(|since| since.resolve(now)),
            until,
            principal: self.principal.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            directory_revision: self.directory_revision.clone(),
            caller: self.caller.clone(),
            ..Filter::default()
        }
    }
}
