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
mod site;
mod sweep;
