//! How to ask, and what to make of the answer.

use std::time::Duration;

use tonic::Request;
use tonic::Status;
use tonic::transport::Channel;

use crate::protos::deodar::v1;
use v1::authorization_service_client::AuthorizationServiceClient;

/// The obligations that this program fulfils. One that is not here means "no".
const FULFILLED: [&str; 1] = ["log-access"];

/// Asks, prints the answer, and says whether the thing may happen.
///
/// # Errors
/// When there is no answer. That is not a yes: whoever cannot ask must refuse.
pub(crate) async fn ask(
    client: &mut AuthorizationServiceClient<Channel>,
    question: v1::AuthorizeRequest,
) -> Result<bool, Status> {
    let mut request = Request::new(question);
    // Always with a deadline: a decision takes microseconds, or something is wrong.
    request.set_timeout(Duration::from_secs(1));
    let answer = client.authorize(request).await?.into_inner();
    print(&answer);
    let fulfilled = |obligation: &v1::Obligation| FULFILLED.contains(&obligation.name.as_str());
    Ok(answer.decision() == v1::Decision::Allow && answer.obligations.iter().all(fulfilled))
}

fn print(answer: &v1::AuthorizeResponse) {
    match answer.decision() {
        v1::Decision::Allow => println!("  decision: allow"),
        _ => println!("  decision: deny ({})", cause(answer)),
    }
    for policy in &answer.policies {
        println!(
            "  policy:   {} ({}:{})",
            policy.id, policy.file, policy.line
        );
        if let Some(reason) = policy.annotations.get("reason") {
            println!("  reason:   {reason}");
        }
    }
    for error in &answer.errors {
        let policy = error.policy.as_ref().map_or("", |policy| &policy.id);
        println!("  failed:   {policy}: {}", error.message);
    }
    for advice in &answer.advice {
        println!("  advice:   {advice}");
    }
    for obligation in &answer.obligations {
        println!("  obliges:  {} ({})", obligation.name, obligation.policy_id);
    }
}

/// `DENY_CAUSE_NO_PERMIT` as `no permit`.
fn cause(answer: &v1::AuthorizeResponse) -> String {
    let name = answer.cause().as_str_name();
    name.trim_start_matches("DENY_CAUSE_")
        .replace('_', " ")
        .to_lowercase()
}
