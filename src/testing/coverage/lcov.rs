//! Coverage as an lcov tracefile, for genhtml and code hosts.
//!
//! A policy is a function (`FN`, `FNDA`: how often its scope matched), a clause is
//! a block of two branches (`BRDA`: how often true, how often false), and the lines
//! where they begin are what `DA` counts. See geninfo(1).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Coverage;
use super::PolicyCoverage;

/// The tracefile; paths are relative to the root of the repository.
pub fn tracefile(coverage: &Coverage) -> String {
    let mut files: BTreeMap<&str, Vec<&PolicyCoverage>> = BTreeMap::new();
    for policy in &coverage.policies {
        files.entry(&policy.info.file).or_default().push(policy);
    }
    let mut text = String::new();
    for (file, policies) in files {
        write_file(&mut text, file, &policies);
    }
    text
}

fn write_file(text: &mut String, file: &str, policies: &[&PolicyCoverage]) {
    text.push_str("TN:\n");
    writeln!(text, "SF:{file}").ok();
    for policy in policies {
        writeln!(text, "FN:{},{}", policy.info.line, name(policy)).ok();
    }
    for policy in policies {
        writeln!(text, "FNDA:{},{}", policy.counts.matched, name(policy)).ok();
    }
    let hit = policies
        .iter()
        .filter(|policy| policy.counts.matched > 0)
        .count();
    writeln!(text, "FNF:{}\nFNH:{hit}", policies.len()).ok();
    write_branches(text, policies);
    write_lines(text, policies);
    text.push_str("end_of_record\n");
}

fn write_branches(text: &mut String, policies: &[&PolicyCoverage]) {
    let (mut found, mut hit) = (0, 0);
    let clauses = policies.iter().flat_map(|policy| &policy.clauses);
    for (block, clause) in clauses
        .filter(|clause| !clause.clause.is_constant)
        .enumerate()
    {
        for (branch, seen) in [clause.seen_true, clause.seen_false]
            .into_iter()
            .enumerate()
        {
            // A branch that could not be taken is told from one that was not.
            let taken = if clause.reached() == 0 {
                "-".to_owned()
            } else {
                seen.to_string()
            };
            writeln!(text, "BRDA:{},{block},{branch},{taken}", clause.clause.line).ok();
            found += 1;
            hit += usize::from(seen > 0);
        }
    }
    writeln!(text, "BRF:{found}\nBRH:{hit}").ok();
}

fn write_lines(text: &mut String, policies: &[&PolicyCoverage]) {
    let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
    for policy in policies {
        let first = (policy.info.line, policy.counts.matched);
        let clauses = policy.clauses.iter();
        let clauses = clauses.map(|clause| (clause.clause.line, clause.reached()));
        for (line, count) in clauses.chain([first]) {
            let most = lines.entry(line).or_default();
            *most = count.max(*most);
        }
    }
    for (line, count) in &lines {
        writeln!(text, "DA:{line},{count}").ok();
    }
    let hit = lines.values().filter(|count| **count > 0).count();
    writeln!(text, "LF:{}\nLH:{hit}", lines.len()).ok();
}

/// An id has no line ends in a tracefile.
fn name(policy: &PolicyCoverage) -> String {
    policy.info.id.replace(char::is_control, " ")
}
