//! Hot reload: whole revisions or none, and never a wrong answer meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::directory::fit::OnConflict;
use deodar::proto::v1;
use deodar::run::reload::Outcome;
use deodar::run::reload::Reload;
use deodar::source;
use serde_json::Value as Json;

use super::audit_record::fit_the_schema;
use super::grpc::entity;
use super::support::Running;
use super::support::config;
use super::support::repository;

const MANIFEST: (&str, &str) = ("manifest.toml", "unknown = \"cedar\"");

/// A revision of two policies that must change together: who may in one
/// revision is forbidden in the next.
fn revision(number: usize) -> String {
    let even = number.is_multiple_of(2);
    let (may, may_not) = if even {
        ("alice", "bob")
    } else {
        ("bob", "alice")
    };
    format!(
        r#"@id("may") permit(principal == U::"{may}", action, resource);
           @id("may-not") forbid(principal == U::"{may_not}", action, resource);"#
    )
}

/// At once, as git does it: written beside, moved over.
fn write(folder: &Path, name: &str, text: &str) {
    let beside = folder.join(format!(".{name}.new"));
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, folder.join(name)).unwrap();
}

async fn status(running: &Running) -> v1::GetStatusResponse {
    running
        .policies()
        .get_status(v1::GetStatusRequest::default())
        .await
        .unwrap()
        .into_inner()
}

/// Waits until the server says what it is expected to say in the end: how many
/// steps it takes there is the business of the debounce.
async fn until(
    running: &Running,
    wanted: impl Fn(&v1::GetStatusResponse) -> bool,
) -> v1::GetStatusResponse {
    for _ in 0..600 {
        let status = status(running).await;
        if wanted(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {:?}", status(running).await);
}

fn revision_of(status: &v1::GetStatusResponse) -> String {
    status.active.as_ref().unwrap().policy_revision.clone()
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
    write(folder.path(), "a.cedar", &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    config.policies.debounce = Duration::from_millis(50);
    let running = Running::start(config).await;
    let mut client = running.authorization();
    let first = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(first.decision(), v1::Decision::Allow);
    let in_force = first.revisions.clone().unwrap().policy;

    write(folder.path(), "a.cedar", "permit(principal,");
    write(folder.path(), "c.cedar", "forbid");
    let names = |status: &v1::GetStatusResponse, file: &str| {
        let faults = status.rejected.iter().flat_map(|rejected| &rejected.faults);
        faults
            .into_iter()
            .any(|fault| fault.file == file && fault.line == 1)
    };
    let bad = until(&running, |status| {
        names(status, "a.cedar") && names(status, "c.cedar")
    })
    .await;
    assert_eq!(revision_of(&bad), in_force);
    assert_ne!(bad.rejected.unwrap().policy_revision, in_force);
    let same = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(
        (same.decision(), same.revisions),
        (v1::Decision::Allow, first.revisions)
    );
    let counted = running.server.pdp.counters().prometheus();
    assert!(
        !counted.contains("deodar_policy_rejections_total 0"),
        "{counted}"
    );

    std::fs::remove_file(folder.path().join("c.cedar")).unwrap();
    write(folder.path(), "a.cedar", &revision(1));
    until(&running, |status| {
        status.rejected.is_none() && revision_of(status) != in_force
    })
    .await;
    let changed = client.authorize(ask("alice")).await.unwrap().into_inner();
    assert_eq!(changed.cause(), v1::DenyCause::Forbidden);
}

#[tokio::test]
async fn a_directory_that_goes_away_changes_nothing() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), "a.cedar", &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    let running = Running::start(config).await;
    std::fs::remove_file(folder.path().join("a.cedar")).unwrap();
    let status = until(&running, |status| status.rejected.is_some()).await;
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

async fn store(running: &Running, entity: &str) {
    let put = v1::PutEntity {
        form: Some(v1::put_entity::Form::EntityCedarJson(entity.to_owned())),
        ..v1::PutEntity::default()
    };
    let write = v1::WriteRequest {
        operations: vec![v1::Operation {
            kind: Some(v1::operation::Kind::Put(put)),
        }],
        ..v1::WriteRequest::default()
    };
    running.directory().write(write).await.unwrap();
}

const ALICE: &str = r#"{"uid": {"type": "U", "id": "alice"}, "attrs": {}, "parents": []}"#;

/// In which users have a level, or may have one.
fn schema(is_required: bool) -> String {
    let mark = if is_required { "" } else { "?" };
    format!(
        "entity U = {{ level{mark}: Long }};\nentity R;\n\
         action \"do\" appliesTo {{ principal: [U], resource: [R], context: {{}} }};\n"
    )
}

/// What the directory stood against comes into force when it does not any more,
/// without a touch of the files. Seen to fail when it is not tried again.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_directory_stood_against_is_tried_again() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), "schema.cedarschema", &schema(false));
    write(folder.path(), "a.cedar", &revision(0));
    let mut config = config(folder.path());
    config.policies.watch = true;
    config.policies.debounce = Duration::from_millis(20);
    let running = Running::start(config).await;
    store(&running, ALICE).await;
    let in_force = revision_of(&status(&running).await);

    write(folder.path(), "schema.cedarschema", &schema(true));
    let refused = until(&running, |status| status.rejected.is_some()).await;
    let rejected = refused.rejected.unwrap();
    assert_eq!(rejected.faults[0].file, "directory", "{rejected:?}");
    assert_eq!(revision_of(&status(&running).await), in_force);
    store(&running, &ALICE.replace("{}", r#"{"level": 1}"#)).await;
    let taken = until(&running, |status| revision_of(status) != in_force).await;
    assert_eq!(taken.rejected, None);
    assert_eq!((taken.activations, taken.rejections), (2, 1));
}

/// Seen to fail with a refusal for each attempt when what is said of them is not
/// compared.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_refusal_is_told_once() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), "schema.cedarschema", &schema(false));
    write(folder.path(), "a.cedar", &revision(0));
    let log = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.audit.path = Some(log.path().to_owned());
    let running = Running::start(config).await;
    store(&running, ALICE).await;
    let (pdp, directory) = (&running.server.pdp, &running.server.directory);
    let mut reload = Reload::new(
        Arc::clone(pdp),
        directory.clone(),
        OnConflict::Reject,
        folder.path().to_owned(),
        source::Limits::default(),
    );
    write(folder.path(), "schema.cedarschema", &schema(true));
    let refused = |outcome: Outcome| {
        let Outcome::Rejected(faults) = outcome else {
            panic!("{outcome:?}");
        };
        faults[0].file.clone()
    };
    for attempt in [Reload::run, Reload::run_again, Reload::run_again] {
        let outcome = tokio::task::block_in_place(|| attempt(&mut reload));
        assert_eq!(refused(outcome), "directory");
        assert!(reload.held_back().is_some());
    }
    // Somebody else is wrong now, and alice still is.
    store(&running, &ALICE.replace("alice", "bob")).await;
    for _ in 0..2 {
        let outcome = tokio::task::block_in_place(|| reload.run_again());
        assert_eq!(refused(outcome), "directory");
    }
    for name in ["alice", "bob"] {
        let mended = ALICE
            .replace("alice", name)
            .replace("{}", r#"{"level": 1}"#);
        store(&running, &mended).await;
    }
    let outcome = tokio::task::block_in_place(|| reload.run_again());
    assert!(matches!(outcome, Outcome::Activated), "{outcome:?}");
    assert!(reload.held_back().is_none());
    // Faults of the files are not for the directory to mend.
    write(folder.path(), "a.cedar", "permit(principal,");
    let outcome = tokio::task::block_in_place(|| reload.run());
    assert_eq!(refused(outcome), "a.cedar");
    assert!(reload.held_back().is_none());
    running.server.stop().await.unwrap();
    let records = Reader::open(log.path(), Since::Oldest).unwrap();
    let records = records.map(|line| serde_json::from_str(&line.unwrap().text).unwrap());
    let mut records: Vec<Json> = records.collect();
    fit_the_schema(&records);
    records.retain(|record| record["kind"] == "rejection");
    assert_eq!(records.len(), 3, "{records:?}");
}

/// While revisions change under load, every answer is one that its revision
/// gives; which revision that is, the answer says.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_answer_is_that_of_the_revision_it_names() {
    let folder = repository(&[MANIFEST]);
    write(folder.path(), "a.cedar", &revision(0));
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
    let first = revision_of(&status(&running).await);
    truth.insert(("alice".to_owned(), first.clone()), true);
    truth.insert(("bob".to_owned(), first), false);
    for number in 0..8 {
        // The number makes each revision one of its own.
        let text = format!("// {number}\n{}", revision(number));
        write(folder.path(), "a.cedar", &text);
        let activations = number as u64 + 2;
        let status = until(&running, |status| status.activations >= activations).await;
        let even = number.is_multiple_of(2);
        truth.insert(("alice".to_owned(), revision_of(&status)), even);
        truth.insert(("bob".to_owned(), revision_of(&status)), !even);
    }
    over.store(true, Ordering::Relaxed);
    assert_eq!(
        truth.len(),
        18,
        "nine revisions, each of its own: {truth:?}"
    );
    let mut count = 0;
    while let Some(answers) = load.join_next().await {
        for ((name, revision, allow), times) in answers.unwrap() {
            count += times;
            let expected = truth.get(&(name.clone(), revision.clone()));
            assert_eq!(Some(&allow), expected, "{name} at {revision}");
        }
    }
    assert!(count > 100, "only {count} answers");
    assert_eq!(status(&running).await.rejections, 0);
}
