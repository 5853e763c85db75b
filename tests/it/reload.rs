//! Hot reload: whole revisions or none, and never a wrong answer meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::proto::v1;

use super::grpc::entity;
use super::support::Running;
use super::support::config;
use super::support::repository;

const MANIFEST: (&str, &str) = ("manifest.toml", "unknown = \"cedar\"");

/// A revision of two files that must change together: in revision `n`, who is
/// of group `n` may, by a policy of one file and not by the other's.
fn revision(number: usize) -> [(&'static str, String); 2] {
    let even = number.is_multiple_of(2);
    let (a, b) = if even {
        ("alice", "bob")
    } else {
        ("bob", "alice")
    };
    [
        (
            "a.cedar",
            format!(r#"@id("may") permit(principal == U::"{a}", action, resource);"#),
        ),
        (
            "b.cedar",
            format!(r#"@id("may-not") forbid(principal == U::"{b}", action, resource);"#),
        ),
    ]
}

/// Both files at once, as git does it: written beside, moved over.
fn write(folder: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        let beside = folder.join(format!(".{name}.new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, folder.join(name)).unwrap();
    }
}

async fn status(running: &Running) -> v1::GetStatusResponse {
    running
        .policies()
        .get_status(v1::GetStatusRequest::default())
        .await
        .unwrap()
        .into_inner()
}

/// Waits for the server to have seen a change, however it took it.
async fn seen(running: &Running, changes: u64) -> v1::GetStatusResponse {
    for _ in 0..600 {
        let status = status(running).await;
        if status.activations + status.rejections >= changes {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no change was seen in 30 s");
}

fn ask(name: &str) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity("U", name)),
        action: Some(entity("Action", "do")),
        resource: Some(entity("R", "r")),
        ..v1::AuthorizeRequest::default()
    }
}

#[tokio::test]
async fn a_good_edit_takes_effect_and_a_bad_one_changes_nothing() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    config.policies.debounce = Duration::from_millis(50);
    let running = Running::start(config).await;
    let mut client = running.authorization();
    let first = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(first.decision(), v1::Decision::Allow);

    write(
        folder.path(),
        &[
            ("a.cedar", "permit(principal,".to_owned()),
            ("c.cedar", "forbid".to_owned()),
        ],
    );
    let bad = seen(&running, 2).await;
    let rejected = bad.rejected.unwrap();
    assert_eq!(
        bad.active.unwrap().policy_revision,
        first.revisions.clone().unwrap().policy
    );
    assert_ne!(
        rejected.policy_revision,
        first.revisions.clone().unwrap().policy
    );
    for file in ["a.cedar", "c.cedar"] {
        assert!(
            rejected
                .faults
                .iter()
                .any(|fault| fault.file == file && fault.line == 1),
            "{rejected:?}"
        );
    }
    let same = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(
        (same.decision(), same.revisions),
        (v1::Decision::Allow, first.revisions)
    );
    assert!(
        running
            .server
            .pdp
            .counters()
            .prometheus()
            .contains("deodar_policy_rejections_total 1")
    );

    std::fs::remove_file(folder.path().join("c.cedar")).unwrap();
    write(folder.path(), &revision(1));
    let good = seen(&running, 3).await;
    assert!(good.rejected.is_none());
    let changed = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(changed.cause(), v1::DenyCause::Forbidden);
}

#[tokio::test]
async fn a_directory_that_goes_away_changes_nothing() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    let running = Running::start(config).await;
    for name in ["a.cedar", "b.cedar"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let status = seen(&running, 2).await;
    assert_eq!(status.rejections, 1);
    assert!(
        status.rejected.unwrap().faults[0]
            .message
            .contains("no policy file")
    );
    let answer = running
        .authorization()
        .authorize(ask("alice"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.decision(), v1::Decision::Allow);
}

/// While revisions change under load, every answer is one that its revision
/// gives; which revision that is, the answer says.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_answer_is_that_of_the_revision_it_names() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    config.policies.debounce = Duration::from_millis(20);
    let running = Running::start(config).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut client = running.authorization();
        let over = Arc::clone(&over);
        load.spawn(async move {
            let mut answers: BTreeMap<(String, String, bool), usize> = BTreeMap::new();
            while !over.load(Ordering::Relaxed) {
                let batch = v1::BatchAuthorizeRequest {
                    items: vec![ask("alice"), ask("bob"), ask("alice")],
                    ..v1::BatchAuthorizeRequest::default()
                };
                let response = client.batch_authorize(batch).await.unwrap().into_inner();
                let answered: Vec<_> = response
                    .items
                    .into_iter()
                    .map(|item| match item.result.unwrap() {
                        v1::batch_authorize_item::Result::Response(response) => response,
                        v1::batch_authorize_item::Result::Error(error) => panic!("{error:?}"),
                    })
                    .collect();
                let revisions: Vec<_> = answered.iter().map(|answer| &answer.revisions).collect();
                assert!(
                    revisions.windows(2).all(|pair| pair[0] == pair[1]),
                    "a batch of two revisions"
                );
                for (name, answer) in ["alice", "bob", "alice"].iter().zip(answered) {
                    let allow = answer.decision() == v1::Decision::Allow;
                    let key = ((*name).to_owned(), answer.revisions.unwrap().policy, allow);
                    *answers.entry(key).or_default() += 1;
                }
            }
            answers
        });
    }
    // What each revision answers is learned while nothing changes.
    let mut truth: BTreeMap<(String, String), bool> = BTreeMap::new();
    for number in 0..8_u64 {
        let index = usize::try_from(number).unwrap();
        write(folder.path(), &revision(index));
        let active = seen(&running, number + 1).await.active.unwrap();
        let even = number.is_multiple_of(2);
        truth.insert(("alice".to_owned(), active.policy_revision.clone()), even);
        truth.insert(("bob".to_owned(), active.policy_revision), !even);
    }
    over.store(true, Ordering::Relaxed);
    let mut count = 0;
    while let Some(answers) = load.join_next().await {
        for ((name, revision, allow), times) in answers.unwrap() {
            count += times;
            if let Some(expected) = truth.get(&(name.clone(), revision.clone())) {
                assert_eq!(allow, *expected, "{name} at {revision}");
            }
        }
    }
    assert!(count > 100, "only {count} answers");
    assert_eq!(status(&running).await.rejections, 0);
}
