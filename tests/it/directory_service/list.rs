//! Lists: every page of one revision, filters, and the tokens between pages.

use deodar::proto::v1;
use deodar::proto::v1::list_request::Filter;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::value::Kind as Of;
use tonic::Code;
use tonic::Status;

use super::DirectoryClient;
use super::entity;
use super::link;
use super::put;
use super::reason;
use super::running;
use super::user;
use super::value;
use super::violations;
use super::write;

async fn page(
    client: &mut DirectoryClient,
    filter: &Filter,
    token: &str,
) -> Result<v1::ListResponse, Status> {
    let request = v1::ListRequest {
        filter: Some(filter.clone()),
        page_size: 3,
        page_token: token.to_owned(),
        ..v1::ListRequest::default()
    };
    client.list(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn all_pages_are_of_one_revision_while_writes_go_on() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let ids: Vec<String> = (0..10).map(|number| format!("u{number}")).collect();
    let puts = ids.iter().map(|id| put(user(id, 1))).collect();
    let revision = write(&mut client, puts).await;
    let filter = Filter::Entities(v1::EntityFilter {
        r#type: "User".to_owned(),
        ..v1::EntityFilter::default()
    });
    let (mut token, mut found) = (String::new(), Vec::new());
    for round in 0.. {
        let listed = page(&mut client, &filter, &token).await.unwrap();
        assert_eq!(listed.revision, revision);
        for stored in listed.entities {
            let stored = stored.entity.unwrap();
            assert_eq!(stored.attributes["level"], value(Of::Long(1)));
            found.push(stored.uid.unwrap().id);
        }
        if listed.next_page_token.is_empty() {
            break;
        }
        // The same page again is the same page.
        let again = page(&mut client, &filter, &listed.next_page_token)
            .await
            .unwrap();
        assert_eq!(again.revision, revision);
        if again.next_page_token.is_empty() {
            // The last page gives up the list.
            found.extend(
                again
                    .entities
                    .into_iter()
                    .map(|one| one.entity.unwrap().uid.unwrap().id),
            );
            break;
        }
        token = listed.next_page_token;
        let delete = v1::DeleteEntity {
            uid: Some(entity("User", &ids[9 - round])),
            detach_members: true,
        };
        let changed = vec![
            put(user(&ids[0], 2)),
            put(user(&format!("u00{round}"), 2)),
            Kind::Delete(delete),
        ];
        write(&mut client, changed).await;
    }
    assert_eq!(found, ids);
    let status = page(&mut client, &filter, &token).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Aborted, "LIST_GONE")
    );
}

#[tokio::test]
async fn filters_select_and_tokens_belong_to_them() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let mut puts: Vec<_> = (0..8)
        .map(|number| put(user(&format!("u{number}"), number % 2)))
        .collect();
    let mut member = user("v", 5);
    member.parents.push(entity("Group", "g"));
    puts.push(put(member));
    puts.extend(
        (0..5).map(|number| Kind::PutLink(link(&format!("l{number}"), &format!("u{number}"), "d"))),
    );
    write(&mut client, puts).await;
    let all = |edit: &dyn Fn(&mut v1::EntityFilter)| {
        let mut filter = v1::EntityFilter::default();
        edit(&mut filter);
        Filter::Entities(filter)
    };
    let links = Filter::Links(v1::LinkFilter {
        principal: Some(entity("User", "u3")),
        template_id: "share".to_owned(),
        ..v1::LinkFilter::default()
    });
    let cases: Vec<(Filter, Vec<&str>)> = vec![
        (all(&|filter| filter.id_prefix = "v".to_owned()), vec!["v"]),
        (
            all(&|filter| filter.parent = Some(entity("Group", "g"))),
            vec!["v"],
        ),
        (all(&|filter| filter.r#type = "Group".to_owned()), vec![]),
        (
            all(&|filter| {
                filter.attribute = Some(v1::AttributeValue {
                    name: "level".to_owned(),
                    value: Some(value(Of::Long(1))),
                });
            }),
            vec!["u1", "u3", "u5", "u7"],
        ),
        (links.clone(), vec!["l3"]),
        (
            Filter::Links(v1::LinkFilter::default()),
            vec!["l0", "l1", "l2", "l3", "l4"],
        ),
    ];
    for (filter, expected) in cases {
        let (mut token, mut found) = (String::new(), Vec::new());
        loop {
            let listed = page(&mut client, &filter, &token).await.unwrap();
            let entities = listed.entities.into_iter();
            found.extend(entities.map(|stored| stored.entity.unwrap().uid.unwrap().id));
            found.extend(
                listed
                    .links
                    .into_iter()
                    .map(|stored| stored.link.unwrap().id),
            );
            token = listed.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
    }
    let everything = all(&|_| ());
    let token = page(&mut client, &everything, "")
        .await
        .unwrap()
        .next_page_token;
    for filter in [links, all(&|filter| filter.id_prefix = "u".to_owned())] {
        let status = page(&mut client, &filter, &token).await.unwrap_err();
        assert!(
            violations(&status)[0].starts_with("page_token: is of a list"),
            "{status}"
        );
    }
    let status = page(&mut client, &everything, "nonsense")
        .await
        .unwrap_err();
    assert!(
        violations(&status)[0].starts_with("page_token: is not"),
        "{status}"
    );
    assert!(page(&mut client, &everything, &token).await.is_ok());
}

/// Links that were written come between policies, in order of id. Seen to fail when
/// no more links are looked at than a page has places.
#[tokio::test]
async fn policies_and_written_links_are_listed_in_one_order() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let ids = ["a0", "a1", "p", "r", "z0", "z1", "z2"];
    let mut operations = vec![put(user("u", 1))];
    operations.extend(ids.iter().map(|id| Kind::PutLink(link(id, "u", "d"))));
    write(&mut client, operations).await;
    let mut policies = running.policies();
    let kinds = [
        (
            v1::PolicyKind::Unspecified,
            "a0 a1 owner p r share z0 z1 z2",
        ),
        (v1::PolicyKind::Static, "owner"),
        (v1::PolicyKind::Template, "share"),
        (v1::PolicyKind::Link, "a0 a1 p r z0 z1 z2"),
    ];
    for (kind, expected) in kinds {
        for page_size in 1..=10 {
            let mut request = v1::ListPoliciesRequest {
                kind: kind.into(),
                page_size,
                ..v1::ListPoliciesRequest::default()
            };
            let mut found: Vec<String> = Vec::new();
            loop {
                let page = policies.list_policies(request.clone()).await.unwrap();
                let page = page.into_inner();
                assert!(page.policies.len() <= page_size as usize);
                let infos = page.policies.into_iter().map(|policy| policy.info);
                found.extend(infos.map(|info| info.unwrap().id));
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(found.join(" "), expected, "{page_size}");
        }
    }
    let request = v1::GetPolicyRequest {
        id: "r".to_owned(),
        ..v1::GetPolicyRequest::default()
    };
    let found = policies.get_policy(request).await.unwrap().into_inner();
    assert_eq!(found.policy.unwrap().kind, i32::from(v1::PolicyKind::Link));
}
