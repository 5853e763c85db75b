//! What a solver says of every request.

use serde_json::Value as Json;
use serde_json::json;

use crate::analysis::world::World;
use crate::cli::output::HEAD;
use crate::cli::output::paint;

/// What a solver says of every request.
#[derive(Debug)]
pub enum Symbolic {
    /// Nobody asked one, and why.
    Unasked(String),
}

impl Symbolic {
    /// In how many environments something is gained, and lost.
    pub fn flips(&self) -> (u64, u64) {
        match self {
            Self::Unasked(_) => (0, 0),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Unasked(why) => format!("\n{}: {why}\n", paint(HEAD, "every request")),
        }
    }

    /// For a comment on a pull request.
    pub fn markdown(&self) -> String {
        match self {
            Self::Unasked(why) => format!("Every request: {why}.\n\n"),
        }
    }

    /// For programs.
    pub fn json(&self) -> Json {
        match self {
            Self::Unasked(why) => json!({"asked": false, "why": why}),
        }
    }
}

/// Asks a solver, if there is one.
pub fn compare(_: World<'_>, _: World<'_>, _: bool) -> Symbolic {
    Symbolic::Unasked("no solver was asked about every request".to_owned())
}
