//! What single rules of `deodar lint` find, and what they leave alone.

use std::fmt::Write as _;

use deodar::analysis::lint::Options;
use deodar::analysis::lint::Report;
use deodar::analysis::lint::example;
use deodar::analysis::lint::lint;
use deodar::engine::Files;
use deodar::engine::value::Extension;

fn report(files: &Files, rules: &[&'static str]) -> Report {
    let options = Options {
        only: rules.to_vec(),
        now: Extension::Datetime.parse("2026-11-22T03:12:00Z").unwrap(),
    };
    lint(files, &options)
}

/// A repository with the policies in `p.cedar`, and the world of the examples.
fn world(policies: &str, more: &[(&str, &str)]) -> Files {
    let files = [
        ("world.cedarschema", example::SCHEMA),
        ("entities/world.json", example::ENTITIES),
        ("p.cedar", policies),
    ];
    let files = files.iter().chain(more);
    Files::new(files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
}

/// The texts in which a rule finds something.
fn places(files: &Files, rule: &'static str) -> Vec<String> {
    let report = report(files, &[rule]);
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    let findings = report.findings.iter();
    let place = findings.map(|finding| finding.source.slice(&finding.span).to_owned());
    place.collect()
}

/// The same, of a policy about reading with these conditions.
fn of_read(effect: &str, conditions: &str, rule: &'static str) -> Vec<String> {
    let policy = format!(
        "{effect} (principal is User, action == Action::\"read\", resource is Device)\n{conditions};"
    );
    places(&world(&policy, &[]), rule)
}

/// A hundred actions, of which all but the last demand `n`.
fn hundred_actions() -> String {
    let mut schema = "entity U; entity D;\n".to_owned();
    for number in 0..100 {
        let question = if number == 99 { "?" } else { "" };
        writeln!(
            schema,
            "action \"a{number}\" appliesTo {{ principal: [U], resource: [D], context: {{ n{question}: Long }} }};"
        )
        .unwrap();
    }
    schema
}

fn of_hundred(policies: &str) -> Files {
    Files::new([
        ("s.cedarschema".to_owned(), hundred_actions().into_bytes()),
        ("p.cedar".to_owned(), policies.as_bytes().to_vec()),
    ])
}

#[test]
fn every_kind_of_request_is_looked_at() {
    let mut policies = String::new();
    for number in 0..99 {
        writeln!(
            policies,
            "@allow(\"forbid-can-error\") forbid (principal, action == Action::\"a{number}\", resource) when {{ context.n + 1 > 3 }};"
        )
        .unwrap();
    }
    let files = of_hundred(&policies);
    assert_eq!(places(&files, "unused-allow"), [""; 0]);
    let both = report(&files, &["unused-allow", "forbid-can-error"]);
    assert_eq!(both.findings.len(), 0);
    let files = of_hundred(&policies.replace("@allow(\"forbid-can-error\")", ""));
    assert_eq!(places(&files, "forbid-can-error").len(), 99);
    // Of a hundred actions one takes requests without `n`.
    let files =
        of_hundred("permit (principal, action, resource) when { context has n && context.n > 3 };");
    assert_eq!(places(&files, "needless-has"), [""; 0]);
}

#[test]
fn times_that_are_moved_can_leave_their_range() {
    let schema = "entity U { for: duration, at: datetime }; entity D;\n\
        action a appliesTo { principal: [U], resource: [D], context: { now: datetime } };";
    let found = |condition: &str| {
        let policy = format!(
            "forbid (principal, action == Action::\"a\", resource) when {{ principal has for && principal has at && {condition} }};"
        );
        let files = Files::new([
            ("s.cedarschema".to_owned(), schema.as_bytes().to_vec()),
            ("p.cedar".to_owned(), policy.into_bytes()),
        ]);
        places(&files, "forbid-can-error").len()
    };
    assert_eq!(found("context.now.offset(principal.for) > principal.at"), 1);
    assert_eq!(
        found("context.now.offset(duration(\"1h\")) > principal.at"),
        0
    );
    assert_eq!(
        found("context.now.durationSince(principal.at) > duration(\"1h\")"),
        0
    );
}

#[test]
fn nothing_that_is_needed_is_to_be_deleted() {
    let of = |action: &str| {
        format!("permit (principal is User, action {action}, resource is Device);\n")
    };
    let (one, list) = (of("== Action::\"read\""), of("in [Action::\"read\"]"));
    let shadowed = |policies: &str| places(&world(policies, &[]), "shadowed-policy").len();
    // Each covers the other: one of them has to stay.
    assert_eq!(shadowed(&format!("{one}{list}")), 1);
    assert_eq!(shadowed(&format!("{list}{one}{list}")), 1);
    let (group, member) = (of("in Action::\"manage\""), of("== Action::\"command\""));
    assert_eq!(shadowed(&format!("{member}{group}")), 1);
}

#[test]
fn hints_keep_the_meaning() {
    let hint = |condition: &str| {
        let condition = format!("when {{ context.session has mfa && {condition} }}");
        let policy = format!(
            "permit (principal is User, action == Action::\"read\", resource is Device)\n{condition};"
        );
        let report = report(&world(&policy, &[]), &["compared-with-boolean"]);
        report.findings[0].hint.clone()
    };
    let (alone, negated) = ("write the expression alone", "write `!` and the expression");
    for (condition, wanted) in [
        ("context.session.mfa == true", alone),
        ("context.session.mfa != true", negated),
        ("context.session.mfa == false", negated),
        ("false != context.session.mfa", alone),
        ("!(context.session.mfa == true)", alone),
        ("!context.session.mfa != true", negated),
    ] {
        assert_eq!(hint(condition), wanted, "{condition}");
    }
    let found = |conditions: &str, rule: &'static str| of_read("permit", conditions, rule).len();
    for (conditions, times) in [
        ("when { resource is Device && principal.level > 2 }", 1),
        ("when { resource is Device || principal.level > 2 }", 0),
        ("when { !(resource is Device) }", 0),
        ("unless { resource is Device }", 0),
    ] {
        assert_eq!(found(conditions, "redundant-is"), times, "{conditions}");
    }
    let mfa = "context.session.mfa";
    for (condition, double, unless) in [
        (format!("!(!{mfa} != true)"), 0, 1),
        (format!("!{mfa} != true"), 0, 0),
        (format!("!!{mfa}"), 1, 1),
        (format!("!(!{mfa})"), 1, 1),
        (format!("!{mfa}"), 0, 1),
    ] {
        let when = format!("when {{ context.session has mfa && {condition} }}");
        assert_eq!(found(&when, "double-negation"), double, "{condition}");
        let condition = format!("when {{ context.session has mfa }} unless {{ {condition} }}");
        assert_eq!(found(&condition, "negated-unless"), unless, "{condition}");
    }
}

#[test]
fn emergencies_that_open_are_told() {
    let found = |conditions: &str| of_read("permit", conditions, "break-glass-without-obligation");
    assert_eq!(
        found("when { context has break_glass }"),
        ["context has break_glass"]
    );
    for conditions in [
        "when { context has break_glass && context.break_glass }",
        "unless { !(context has break_glass && context.break_glass) }",
        "when { context has break_glass && context.break_glass != false }",
    ] {
        assert_eq!(found(conditions), ["context.break_glass"], "{conditions}");
    }
    for conditions in [
        "unless { context has break_glass && context.break_glass }",
        "unless { context has break_glass }",
        "when { !(context has break_glass) || (context has break_glass && context.break_glass == false) }",
    ] {
        assert_eq!(found(conditions), [""; 0], "{conditions}");
    }
}

#[test]
fn ranges_are_compared_with_those_of_the_same_address() {
    let schema = "entity U { home: ipaddr }; entity D;\n\
        action a appliesTo { principal: [U], resource: [D], context: { ip: ipaddr } };";
    let found = |conditions: &str| {
        let policy = format!("permit (principal, action == Action::\"a\", resource) {conditions};");
        let files = Files::new([
            ("s.cedarschema".to_owned(), schema.as_bytes().to_vec()),
            ("p.cedar".to_owned(), policy.into_bytes()),
        ]);
        places(&files, "ip-range-overlap").len()
    };
    let (wide, narrow) = (
        "context.ip.isInRange(ip(\"10.0.0.0/8\"))",
        "context.ip.isInRange(ip(\"10.1.0.0/16\"))",
    );
    assert_eq!(found(&format!("when {{ {wide} || {narrow} }}")), 1);
    assert_eq!(found(&format!("unless {{ {wide} || {narrow} }}")), 1);
    // What is excepted is all that there was.
    assert_eq!(found(&format!("when {{ {narrow} && !{wide} }}")), 1);
    assert_eq!(
        found(&format!("when {{ {narrow} }} unless {{ {wide} }}")),
        1
    );
    assert_eq!(found(&format!("when {{ {wide} && !{narrow} }}")), 0);
    assert_eq!(
        found(&format!("when {{ {wide} }} unless {{ {narrow} }}")),
        0
    );
    let home = narrow.replace("context.ip", "principal.home");
    assert_eq!(found(&format!("when {{ {wide} && {home} }}")), 0);
}

#[test]
fn a_broad_permit_is_not_narrowed_by_an_exception() {
    let found = |conditions: &str| {
        let policy =
            format!("permit (principal in Role::\"operator\", action, resource) {conditions};");
        places(&world(&policy, &[]), "broad-permit").len()
    };
    let stop = "action == Action::\"stop\"";
    assert_eq!(found(&format!("unless {{ {stop} }}")), 1);
    assert_eq!(found("when { action != Action::\"stop\" }"), 1);
    assert_eq!(found(&format!("when {{ {stop} }}")), 0);
    assert_eq!(
        found("when { action in [Action::\"stop\"] || action in Action::\"manage\" }"),
        0
    );
    assert_eq!(found(&format!("unless {{ !({stop}) }}")), 0);
}

#[test]
fn ends_are_found_however_they_are_written() {
    let found = |conditions: &str| of_read("permit", conditions, "date-in-past").len();
    let past = "datetime(\"2020-03-31\")";
    for conditions in [
        format!("when {{ context.now < {past} }}"),
        format!("when {{ {past} >= context.now }}"),
        format!("unless {{ context.now > {past} }}"),
        format!("unless {{ {past} < context.now }}"),
        format!("when {{ !(context.now > {past}) }}"),
        format!("unless {{ context.now < {past} }}"),
    ] {
        assert_eq!(found(&conditions), 1, "{conditions}");
    }
    for conditions in [
        format!("when {{ context.now > {past} }}"),
        format!("when {{ {past} <= context.now }}"),
        format!("when {{ !(context.now < {past}) }}"),
        "unless { context.now > datetime(\"9000-03-31\") }".to_owned(),
    ] {
        assert_eq!(found(&conditions), 0, "{conditions}");
    }
}

#[test]
fn principals_are_named_in_conditions_too() {
    let found = |conditions: &str| of_read("permit", conditions, "named-principal");
    let ann = "principal == User::\"ann\"";
    assert_eq!(found(&format!("when {{ {ann} }}")), [ann]);
    assert_eq!(
        found(&format!("when {{ principal.level > 3 || {ann} }}")),
        [ann]
    );
    assert_eq!(found(&format!("unless {{ {ann} }}")), [""; 0]);
    assert_eq!(found("when { resource == Device::\"press\" }"), [""; 0]);
}

#[test]
fn the_scope_counts_for_what_is_never_true() {
    let found = |scope: &str, condition: &str| {
        let policy = format!(
            "permit ({scope}, action == Action::\"read\", resource is Device) when {{ {condition} }};"
        );
        places(&world(&policy, &[]), "never-true").len()
    };
    let (ann, bob) = ("principal == User::\"ann\"", "principal == User::\"bob\"");
    assert_eq!(found(ann, bob), 1);
    assert_eq!(found(ann, ann), 0);
    assert_eq!(found("principal is User", bob), 0);
    assert_eq!(found("principal == ?principal", bob), 0);
    assert_eq!(
        found(
            "principal",
            "[\"a\", \"b\"].contains(resource.topic) && resource.topic == \"c\""
        ),
        1
    );
}

#[test]
fn slips_in_tests_for_attributes_are_found() {
    let found = |effect: &str, conditions: &str| -> Vec<(String, String)> {
        let policy = format!(
            "{effect} (principal is User, action in [Action::\"read\", Action::\"command\"], resource is Device)\n{conditions};"
        );
        let report = report(&world(&policy, &[]), &["unknown-attribute"]);
        assert!(report.faults.is_empty() && report.skipped.is_empty());
        let findings = report.findings.iter();
        let place = findings.map(|found| {
            let text = found.source.slice(&found.span);
            (text.to_owned(), found.hint.clone())
        });
        place.collect()
    };
    let meant =
        |place: &str, name: &str| vec![(place.to_owned(), format!("did you mean `{name}`?"))];
    assert_eq!(
        found(
            "permit",
            "unless { context has brake_glass && context.brake_glass }"
        ),
        meant("context has brake_glass", "break_glass")
    );
    // Also where nothing can satisfy the policy.
    assert_eq!(
        found(
            "permit",
            "when { context has brake_glass && context.brake_glass }"
        ),
        meant("context has brake_glass", "break_glass")
    );
    assert_eq!(
        found(
            "forbid",
            "unless { resource has owner.handel && resource.owner.handel == \"a\" }"
        ),
        meant("resource has owner.handel", "handle")
    );
    assert_eq!(
        found("forbid", "unless { context.session has mfaa }"),
        meant("context.session has mfaa", "mfa")
    );
    assert_eq!(found("permit", "unless { principal has zzz }").len(), 1);
    for conditions in [
        "unless { context has break_glass && context.break_glass }",
        "when { principal has site.region }",
        "when { principal has level && resource has owner }",
    ] {
        assert_eq!(found("permit", conditions), [], "{conditions}");
    }
    // What one of the actions has is declared.
    let schema = "entity U; entity D; action a appliesTo { principal: [U], resource: [D], context: {} };\n\
        action b appliesTo { principal: [U], resource: [D], context: { risk?: Long } };";
    let policy =
        "permit (principal, action, resource) unless { context has risk && context.risk > 3 };";
    let files = Files::new([
        ("s.cedarschema".to_owned(), schema.as_bytes().to_vec()),
        ("p.cedar".to_owned(), policy.as_bytes().to_vec()),
    ]);
    assert_eq!(places(&files, "unknown-attribute"), [""; 0]);
}

#[test]
fn the_schema_is_known_where_a_policy_has_a_fault() {
    let policies = "permit (principal is User, action == Action::\"command\", resource is Device) when { principal.nothing };\n\
        forbid (principal, action in Action::\"manage\", resource is Devise);";
    let rules = [
        "unknown-type",
        "permit-no-forbid-reaches",
        "unused-allow",
        "unguarded-attribute",
        "needless-has",
    ];
    let of_policies = report(&world(policies, &[]), &rules);
    assert!(!of_policies.faults.is_empty());
    let ids: Vec<&str> = of_policies
        .findings
        .iter()
        .map(|found| found.rule.id)
        .collect();
    assert_eq!(ids, ["unknown-type"]);
    let skipped = |report: &Report| -> Vec<(&'static str, &'static str)> {
        report
            .skipped
            .iter()
            .map(|(rule, why)| (rule.id, *why))
            .collect()
    };
    let broken = "the repository does not compile";
    let compiled = [
        ("permit-no-forbid-reaches", broken),
        ("unused-allow", broken),
        ("needless-has", broken),
    ];
    let mut of_both = skipped(&of_policies);
    of_both.sort_unstable();
    let mut wanted = compiled.to_vec();
    wanted.sort_unstable();
    assert_eq!(of_both, wanted);
    let of_schema = report(
        &world(policies, &[("more.cedarschema", "entity User")]),
        &rules,
    );
    let unreadable = "the schema does not compile";
    let skipped = skipped(&of_schema);
    assert!(skipped.contains(&("unknown-type", unreadable)));
    assert!(skipped.contains(&("unguarded-attribute", unreadable)));
}

#[test]
fn groups_of_which_nobody_knows_the_members_are_in_reach() {
    let found = |forbid: &str, permit: &str| {
        let policies = format!(
            "permit (principal, action {permit}, resource);\nforbid (principal, action {forbid}, resource);"
        );
        let files = Files::new([("p.cedar".to_owned(), policies.into_bytes())]);
        places(&files, "permit-no-forbid-reaches").len()
    };
    let (group, one, other) = (
        "in Action::\"manage\"",
        "== Action::\"a\"",
        "== Action::\"b\"",
    );
    assert_eq!(found(group, one), 0);
    assert_eq!(found(one, group), 0);
    assert_eq!(found(one, other), 1);
}

/// Without a session there is nothing of it.
#[test]
fn what_is_in_a_fact_is_absent_with_it() {
    let permit = "when { context has session.mfa && context.session.mfa } \
                  unless { context has session && context.session has mfa && !context.session.mfa }";
    assert!(of_read("permit", permit, "permit-on-absence").is_empty());
    let forbid = "when { !(context has session.mfa) || \
                  (context has session && context.session has mfa && !context.session.mfa) }";
    assert!(of_read("forbid", forbid, "forbid-skipped-on-absence").is_empty());
    let alone = "unless { context has session.mfa && context.session.mfa }";
    assert_eq!(of_read("permit", alone, "permit-on-absence").len(), 1);
}

/// Each alternative is found, and each entity, but a name is suggested for some only:
/// that compares it with all.
#[test]
fn of_many_alternatives_and_entities_all_are_found() {
    let alternatives: Vec<String> = (0..900)
        .map(|number| {
            format!(
                "(principal.level > {} && principal.level < {number})",
                number + 1
            )
        })
        .collect();
    let condition = format!(
        "when {{ principal.level == 5 || {} }}",
        alternatives.join(" || ")
    );
    assert_eq!(of_read("permit", &condition, "dead-branch").len(), 900);
    let mut entities = "[".to_owned();
    for number in 0..300 {
        write!(entities, "{{\"uid\": {{\"type\": \"Role\", \"id\": \"role-number-{number}\"}}, \"attrs\": {{}}, \"parents\": []}},").unwrap();
    }
    entities.push_str(
        "{\"uid\": {\"type\": \"Role\", \"id\": \"last\"}, \"attrs\": {}, \"parents\": []}]",
    );
    let mut policies = String::new();
    for number in 0..300 {
        writeln!(
            policies,
            "permit (principal in Role::\"rule-number-{number}\", action, resource);"
        )
        .unwrap();
    }
    let files = world(&policies, &[("entities/roles.json", &entities)]);
    let report = report(&files, &["unknown-entity"]);
    assert_eq!(report.findings.len(), 300);
    let meant = report
        .findings
        .iter()
        .filter(|found| found.hint.contains("did you mean"));
    assert_eq!(meant.count(), 100);
}
