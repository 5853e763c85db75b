//! The audit log on the disk.

mod crash;
mod damage;
mod diff;
mod disk;
mod failing;
mod hostile;
mod killed;
mod model;
mod overflow;
pub mod site;
mod sweep;
