//! The audit log on the disk.

mod crash;
mod damage;
mod disk;
mod failing;
mod killed;
mod model;
mod overflow;
pub mod site;
mod sweep;
