//! Nor can a decision be made by hand.

use deodar::engine::Decision;

fn main() {
    let _made = Decision::allow(Vec::new(), Vec::new());
    let _default = deodar::engine::Permit::default();
}
