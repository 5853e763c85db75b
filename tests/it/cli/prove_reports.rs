//! The reports of `deodar prove`: what they say to remove can be removed. Skipped
//! without cvc5.

use crate::cli::assert_shown;
use crate::cli::prove::path_of_solver;
use crate::cli::prove::prove;
use crate::cli::prove::repository;

/// The lines that say what was found, of these policies.
fn found(policies: &str, manifest: &str) -> Option<String> {
    let path = path_of_solver()?;
    let place = repository(policies, "");
    place.write("p/manifest.toml", manifest);
    let shown = prove(&place, &path, &["--jobs", "1"]);
    let lines = shown.lines();
    let lines: Vec<&str> = lines
        .filter(|line| line.starts_with("found: ") || line.starts_with("  by "))
        .collect();
    Some(lines.join("\n"))
}

const NAME: &str = "name = \"locks\"\n";

/// What a permit makes whoever enforces it do is something that it says.
#[test]
fn a_permit_with_an_obligation_is_made_superfluous_by_none_without() {
    let policies = r#"
@id("looks") permit (principal, action == Action::"look", resource);
@id("watched") @obligation("log, film")
permit (principal, action == Action::"look", resource) when { principal.level > 3 };
@id("watched-more") @obligation("film")
permit (principal, action == Action::"look", resource) when { principal.level > 5 };
"#;
    let Some(shown) = found(policies, NAME) else {
        return;
    };
    assert_shown!(shown, @r"
    found: policy watched-more changes nothing: all that it matches is matched by others locks.cedar:5
      by `watched`
    ");
}

/// Where it fails, it denies: without it, others would be let through.
#[test]
fn a_forbid_that_fails_changes_something() {
    let policies = r#"
@id("looks") permit (principal, action, resource);
@id("low") forbid (principal, action, resource) when { principal.level < 0 };
@id("lower") forbid (principal, action, resource) when { principal.level + 1 < 0 };
@id("dead") forbid (principal, action, resource)
when { principal.level + 1 > 0 && principal.level != principal.level };
@id("lower-for-some") forbid (principal == ?principal, action, resource)
when { principal.level + 1 < 0 };
"#;
    let Some(shown) = found(policies, NAME) else {
        return;
    };
    assert_shown!(shown, @r"
    found: policy dead can fail to evaluate locks.cedar:5
    found: policy lower can fail to evaluate locks.cedar:4
    found: template lower-for-some can fail to evaluate locks.cedar:7
    ");
    // As Cedar's own `Authorizer` does it, they change nothing.
    let skips = found(policies, "name = \"locks\"\nerrors = \"cedar\"\n").unwrap();
    assert_shown!(skips, @r"
    found: policy dead can never apply locks.cedar:5
    found: policy lower changes nothing: all that it matches is matched by others locks.cedar:4
      by `low`
    found: policy dead can fail to evaluate locks.cedar:5
    found: policy lower can fail to evaluate locks.cedar:4
    found: template lower-for-some can fail to evaluate locks.cedar:7
    ");
}

/// Of a link, that it can fail is told of its template; but it does change something.
#[test]
fn nor_is_a_link_that_fails_superfluous() {
    let Some(path) = path_of_solver() else { return };
    let policies = r#"
@id("looks") permit (principal, action, resource);
@id("low") forbid (principal, action, resource) when { principal.level < 0 };
@id("low-for-some") forbid (principal == ?principal, action, resource)
when { principal.level < -1 };
@id("lower-for-some") forbid (principal == ?principal, action, resource)
when { principal.level + 1 < 0 };
"#;
    let place = repository(policies, "");
    let link = |template: &str| {
        format!(
            r#"{{"template_id": "{template}", "link_id": "{template}-ann", "args": {{"?principal": "User::\"ann\""}}}}"#
        )
    };
    let links = format!("[{}, {}]", link("low-for-some"), link("lower-for-some"));
    place.write("p/links/all.json", &links);
    let shown = prove(&place, &path, &["--jobs", "1"]);
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("found: "))
        .collect();
    assert_shown!(lines.join("\n"), @r"
    found: link low-for-some-ann changes nothing: all that it matches is matched by others locks.cedar:4
    found: template lower-for-some can fail to evaluate locks.cedar:6
    ");
}

/// Of policies that say the same, one has to stay.
#[test]
fn not_all_of_those_that_say_the_same_are_superfluous() {
    let policies = r#"
@id("a") permit (principal, action == Action::"look", resource);
@id("b") permit (principal, action == Action::"look", resource);
@id("c") permit (principal, action == Action::"look", resource);
@id("d") permit (principal, action == Action::"look", resource) when { context.now > 1 };
"#;
    let Some(shown) = found(policies, NAME) else {
        return;
    };
    assert_shown!(shown, @r"
    found: policy a changes nothing: all that it matches is matched by others locks.cedar:2
      by `b`
    found: policy c changes nothing: all that it matches is matched by others locks.cedar:4
      by `a`
    found: policy d changes nothing: all that it matches is matched by others locks.cedar:5
      by `a`
    ");
}
