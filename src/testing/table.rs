//! Tables: every principal, action and resource of three lists, with the cells
//! that are expected to be other than denied.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::cases::apart;
use super::expect;
use super::expect::EXPECT_KEYS;
use super::fixtures::Part;
use super::fixtures::Party;
use super::fixtures::check_party;
use super::node::Node;
use super::node::Place;
use super::node::Value;
use super::page;
use super::page::Members;
use super::page::Page;
use super::page::quoted;
use super::setting::Base;
use super::setting::SETTING_KEYS;
use super::setting::Setting;
use super::suite::Broken;
use super::suite::Case;
use super::suite::Expected;
use crate::config::closest::closest;
use crate::engine::Fault;

/// The cells of one table.
const CELLS_MAX: usize = 50_000;
/// Those of all tables of a file.
const FILE_CELLS_MAX: usize = 200_000;

const TABLE_KEYS: &[&str] = &["name", "principals", "actions", "resources", "expect"];
const CELL_KEYS: &[&str] = &[
    "principal",
    "principals",
    "action",
    "actions",
    "resource",
    "resources",
];

/// Where a cell is: the places of its parties in the lists of the table.
type Cell = (usize, usize, usize);

/// What the cells that are named expect, or why that cannot be read, and in which
/// line.
type Cells = BTreeMap<Cell, (usize, Arc<Result<Expected, Box<Fault>>>)>;

/// One list of a table.
struct Axis {
    part: Part,
    parties: Vec<Party>,
}

/// Reads the tables of a file.
pub(super) fn read(page: &mut Page<'_>, mut node: Node, base: &Base) -> Vec<Result<Case, Broken>> {
    if !matches!(node.value, Value::List(_)) {
        base.constants.fill(page, &mut node);
    }
    let mut cases = Vec::new();
    for mut node in page.list(node, "`tables`").unwrap_or_default() {
        let place = node.place.clone();
        let made = apart(page, &place, |page, name| {
            page.no_key_twice(&node);
            base.constants.fill(page, &mut node);
            table(page, node, base, name)
        });
        match made {
            Ok(made) => cases.extend(made),
            Err(mut broken) => {
                broken.is_of_many = true;
                cases.push(Err(broken));
            }
        }
        if cases.len() > FILE_CELLS_MAX {
            let message = format!("the tables of the file have more than {FILE_CELLS_MAX} cells");
            page.fault(&place, message, "make several files of it");
            break;
        }
    }
    cases
}

fn table(
    page: &mut Page<'_>,
    node: Node,
    base: &Base,
    told: &mut Option<String>,
) -> Option<Vec<Result<Case, Broken>>> {
    let known = [TABLE_KEYS, SETTING_KEYS].concat();
    let mut members = page.members(node, "a table", &known)?;
    let name = page.required(&mut members, "name");
    let name = name.and_then(|name| page.text(name, "`name`"));
    told.clone_from(&name);
    let setting = Setting::read(page, &mut members, base);
    let principals = axis(page, &mut members, base, Part::Principal);
    let actions = axis(page, &mut members, base, Part::Action);
    let resources = axis(page, &mut members, base, Part::Resource);
    let (name, setting) = (name?, setting?);
    let axes = [principals?, actions?, resources?];
    let size = axes
        .iter()
        .map(|axis| axis.parties.len())
        .product::<usize>();
    if size > CELLS_MAX {
        let message = format!("the table has {size} cells, more than {CELLS_MAX}");
        page.fault(&members.place, message, "make several tables of it");
        return None;
    }
    let expect = members.take("expect");
    let cells = match expect {
        Some(node) => cells(page, node, &axes, base, &setting)?,
        None => BTreeMap::new(),
    };
    let line = page.line(&members.place);
    let [principals, actions, resources] = &axes;
    let mut cases = Vec::new();
    for (p, principal) in principals.parties.iter().enumerate() {
        for (a, action) in actions.parties.iter().enumerate() {
            for (r, resource) in resources.parties.iter().enumerate() {
                let (line, expected) = cells.get(&(p, a, r)).map_or_else(
                    || (line, Ok(Expected::default())),
                    |(line, expected)| (*line, Result::clone(expected)),
                );
                let name = format!(
                    "{name}: {} {} {}",
                    principal.label, action.label, resource.label
                );
                cases.push(match expected {
                    Ok(expected) => Ok(Case {
                        file: Arc::clone(&page.file),
                        name,
                        line,
                        question: setting.question(principal, action, resource),
                        expected,
                        skip: setting.skip.clone(),
                    }),
                    Err(fault) => Err(Broken {
                        name,
                        line,
                        fault,
                        is_of_many: false,
                    }),
                });
            }
        }
    }
    Some(cases)
}

fn axis(page: &mut Page<'_>, members: &mut Members, base: &Base, part: Part) -> Option<Axis> {
    let what = format!("`{}`", part.words());
    let node = page.required(members, part.words())?;
    let place = node.place.clone();
    let items = page.list(node, &what)?;
    if items.is_empty() {
        page.fault(
            &place,
            format!("{what} is empty"),
            "a table has one of each at least",
        );
        return None;
    }
    let mut parties: Vec<Party> = Vec::new();
    for item in items {
        let place = item.place.clone();
        let party = base.fixtures.party(page, part, item)?;
        if !party.is_named {
            check_party(page, part, &party.uid, &place);
        }
        if let Some(other) = parties.iter().find(|other| other.uid == party.uid) {
            let message = format!(
                "`{}` is twice in {what}: `{}` is the same",
                party.label, other.label
            );
            page.fault(&place, message, "leave one of them out");
            return None;
        }
        parties.push(party);
    }
    Some(Axis { part, parties })
}

/// Reads the cells that are named.
fn cells(
    page: &mut Page<'_>,
    node: Node,
    axes: &[Axis; 3],
    base: &Base,
    setting: &Setting,
) -> Option<Cells> {
    let known = [CELL_KEYS, EXPECT_KEYS].concat();
    let mut cells = Cells::new();
    for node in page.list(node, "`expect`")? {
        let Some(mut members) = page.members(node, "an entry of `expect`", &known) else {
            continue;
        };
        let place = members.place.clone();
        let line = page.line(&place);
        let expected = page.apart(page::Part::Case, &place, |page| {
            expect::read(page, &mut members, &setting.links)
        });
        let [p, a, r] = axes;
        let named = [
            named(page, &mut members, base, p),
            named(page, &mut members, base, a),
            named(page, &mut members, base, r),
        ];
        let [Some(p), Some(a), Some(r)] = named else {
            continue;
        };
        let expected = Arc::new(expected);
        let all = p.iter().flat_map(|p| a.iter().map(move |a| (*p, *a)));
        let all = all.flat_map(|(p, a)| r.iter().map(move |r| (p, a, *r)));
        for cell in all {
            if let Some((first, _)) = cells.get(&cell) {
                twice(page, &place, axes, cell, *first);
                break;
            }
            cells.insert(cell, (line, Arc::clone(&expected)));
        }
    }
    Some(cells)
}

fn twice(page: &mut Page<'_>, place: &Place, axes: &[Axis; 3], cell: Cell, first: usize) {
    let [p, a, r] = axes;
    let label = |axis: &Axis, at: usize| {
        let party = axis.parties.get(at);
        party.map(|party| party.label.clone()).unwrap_or_default()
    };
    let message = format!(
        "the cell `{} {} {}` is named twice, first in line {first}",
        label(p, cell.0),
        label(a, cell.1),
        label(r, cell.2)
    );
    page.fault(place, message, "expect one thing of a cell");
}

/// The parties that an entry names: one, several, or all of the table.
fn named(
    page: &mut Page<'_>,
    members: &mut Members,
    base: &Base,
    axis: &Axis,
) -> Option<BTreeSet<usize>> {
    let (word, words) = (axis.part.word(), axis.part.words());
    let nodes = match (members.take(word), members.take(words)) {
        (None, None) => return Some((0..axis.parties.len()).collect()),
        (Some(one), None) => vec![one],
        (None, Some(several)) => page.list(several, &format!("`{words}`"))?,
        (Some(one), Some(_)) => {
            let message = format!("there are both `{word}` and `{words}`");
            page.fault(&one.place, message, "leave one of them out");
            return None;
        }
    };
    let mut found = BTreeSet::new();
    for node in nodes {
        let place = node.place.clone();
        let party = base.fixtures.party(page, axis.part, node)?;
        let at = axis.parties.iter().position(|other| other.uid == party.uid);
        let Some(at) = at else {
            let labels = || axis.parties.iter().map(|party| party.label.as_str());
            let hint = match closest(&party.label, labels()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the table has {}", quoted(labels())),
            };
            let message = format!("`{}` is not among the {words} of the table", party.label);
            page.fault(&place, message, hint);
            return None;
        };
        if !found.insert(at) {
            page.fault(
                &place,
                format!("`{}` is named twice", party.label),
                "leave one of them out",
            );
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use proptest::collection::vec;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::prop_oneof;
    use proptest::proptest;
    use proptest::strategy::Just;
    use proptest::strategy::Strategy;

    use crate::engine::Files;
    use crate::testing::Read;
    use crate::testing::read;

    /// What an entry says of one axis.
    #[derive(Debug, Clone)]
    enum Named {
        All,
        One(usize),
        Some(BTreeSet<usize>),
    }

    impl Named {
        fn holds(&self, at: usize) -> bool {
            match self {
                Self::All => true,
                Self::One(one) => *one == at,
                Self::Some(some) => some.contains(&at),
            }
        }

        fn write(&self, word: &str, into: &mut String) {
            match self {
                Self::All => {}
                Self::One(at) => write!(into, "{word}: {word}{at}, ").unwrap(),
                Self::Some(some) => {
                    let names: Vec<String> = some.iter().map(|at| format!("{word}{at}")).collect();
                    write!(into, "{word}s: [{}], ", names.join(", ")).unwrap();
                }
            }
        }
    }

    fn named() -> impl Strategy<Value = Named> {
        prop_oneof![
            Just(Named::All),
            (0..3_usize).prop_map(Named::One),
            vec(0..3_usize, 0..3).prop_map(|some| Named::Some(some.into_iter().collect())),
        ]
    }

    fn file(entries: &[([Named; 3], bool)]) -> Read {
        let mut text = "fixtures:\n".to_owned();
        let words = ["principal", "action", "resource"];
        for word in words {
            let names: Vec<String> = (0..3)
                .map(|at| format!("{word}{at}: 'T::\"{at}\"'"))
                .collect();
            writeln!(text, "  {word}s: {{ {} }}", names.join(", ")).unwrap();
        }
        text.push_str("tables:\n  - name: t\n");
        for word in words {
            writeln!(text, "    {word}s: [{word}0, {word}1, {word}2]").unwrap();
        }
        text.push_str("    expect:\n      []\n");
        if !entries.is_empty() {
            text.truncate(text.len() - "      []\n".len());
        }
        for (named, allow) in entries {
            text.push_str("      - { ");
            for (word, named) in words.into_iter().zip(named) {
                named.write(word, &mut text);
            }
            writeln!(
                text,
                "decision: {} }}",
                if *allow { "allow" } else { "deny" }
            )
            .unwrap();
        }
        read(
            &Files::new([("a.test.yaml".to_owned(), text.into_bytes())]),
            None,
        )
    }

    proptest! {
        #[test]
        fn every_cell_expects_what_its_entry_says(entries in vec(([named(), named(), named()], proptest::bool::ANY), 0..4)) {
            let read = file(&entries);
            let mut wanted = Vec::new();
            let mut is_twice = false;
            for p in 0..3 {
                for a in 0..3 {
                    for r in 0..3 {
                        let found: Vec<bool> = entries
                            .iter()
                            .filter(|([x, y, z], _)| x.holds(p) && y.holds(a) && z.holds(r))
                            .map(|(_, allow)| *allow)
                            .collect();
                        is_twice |= found.len() > 1;
                        let allow = found.first().copied().unwrap_or(false);
                        wanted.push((format!("t: principal{p} action{a} resource{r}"), allow));
                    }
                }
            }
            prop_assert_eq!(is_twice, !read.faults.is_empty());
            if is_twice {
                prop_assert!(read.faults.iter().all(|fault| fault.message.contains("is named twice")));
            } else {
                let cases = read.suites[0].cases.iter();
                let came: Vec<_> = cases.map(|case| (case.name.clone(), case.expected.allow)).collect();
                prop_assert_eq!(came, wanted);
            }
        }
    }
}
