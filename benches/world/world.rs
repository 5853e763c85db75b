//! Worlds to decide in: the same for the same size, on every machine.
//!
//! A world of `n` policies has users, devices, teams and sites in proportion, as
//! a fleet that grows. So the policies that concern one question stay few, but
//! not the same few: somewhat more match in a large world than in a small one.
//! The instruction benchmark tells how much more work that is.

mod entities;
mod policies;
mod questions;

use deodar::directory;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;

/// How the scopes of the policies are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Over principals, resources, groups, types and links of a template.
    Spread,
    /// All name one team, and each a device of its own.
    OneTeam,
    /// 300 teams by 300 sites.
    Grid,
}

/// How many of what there are.
#[derive(Debug, Clone, Copy)]
struct Size {
    shape: Shape,
    policies: usize,
    users: usize,
    devices: usize,
    teams: usize,
    sites: usize,
}

impl Size {
    fn of(shape: Shape, policies: usize) -> Self {
        let (teams, sites) = match shape {
            Shape::Grid => (300, 300),
            Shape::Spread | Shape::OneTeam => ((policies / 40).max(60), (policies / 80).max(40)),
        };
        let devices = match shape {
            Shape::OneTeam => policies.max(2000),
            Shape::Spread | Shape::Grid => (policies / 4).max(2000),
        };
        Self {
            shape,
            policies,
            users: (policies / 8).max(400),
            devices,
            teams,
            sites,
        }
    }
}

/// Policies and entities, and questions about them.
#[derive(Debug)]
pub(crate) struct World {
    /// The policies.
    pub(crate) snapshot: Snapshot,
    /// The entities and links.
    pub(crate) view: View,
    size: Size,
}

impl World {
    /// A world of about so many policies, links of templates among them.
    pub(crate) fn new(shape: Shape, policies: usize) -> Self {
        let size = Size::of(shape, policies);
        let files = files(size);
        let snapshot = compile(&files)
            .unwrap_or_else(|faults| panic!("the world is bad: {:?}", faults.first()));
        let view = directory::load(&snapshot, &files)
            .unwrap_or_else(|faults| panic!("the world is bad: {:?}", faults.first()));
        Self {
            snapshot,
            view,
            size,
        }
    }

    /// So many different questions, every other one of which fails the conditions.
    pub(crate) fn questions(&self, count: usize) -> Vec<Query> {
        (0..count)
            .map(|number| questions::question(self, number))
            .collect()
    }

    /// The same questions, each carrying one entity: the device that is asked about.
    pub(crate) fn questions_with_entity(&self, count: usize) -> Vec<Query> {
        (0..count)
            .map(|number| questions::with_entity(self, number))
            .collect()
    }
}

/// The files of such a repository.
pub(crate) fn repository(shape: Shape, policies: usize) -> Files {
    files(Size::of(shape, policies))
}

fn files(size: Size) -> Files {
    let file = |path: &str, text: String| (path.to_owned(), text.into_bytes());
    Files::new([
        file("schema/bench.cedarschema", policies::SCHEMA.to_owned()),
        file("policies/bench.cedar", policies::text(size)),
        file("entities/bench.json", entities::text(size)),
        file("links/bench.json", policies::links(size)),
    ])
}

/// Spreads numbers over `0..below` without a pattern that a query could hit.
fn spread(number: usize, salt: usize, below: usize) -> usize {
    let mixed = (number as u64 + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(salt as u64 * 0xD1B5_4A32_D192_ED03);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    usize::try_from((mixed ^ (mixed >> 32)) % below as u64).unwrap_or_default()
}
