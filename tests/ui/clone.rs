//! One permit, one use: a copy could outlive its decision.

fn twice(permit: &deodar::engine::Permit) -> (deodar::engine::Permit, deodar::engine::Permit) {
    (permit.clone(), *permit)
}

fn main() {}
