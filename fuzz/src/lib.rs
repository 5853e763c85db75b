//! What the fuzz targets do with their input. `tests/fuzz_seeds.rs` does the same
//! with every seed, so that what was found once is tested for ever.

pub mod targets;
pub mod world;
