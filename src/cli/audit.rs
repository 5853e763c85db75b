//! `deodar audit`: what was decided, asked and changed.

pub mod csv;
pub mod diff;
mod diff_csv;
mod diff_text;
pub mod filters;
pub mod query;
pub mod rows;
pub mod show;
pub mod source;
pub mod stats;
pub mod tail;
pub mod verify;
pub mod when;

use clap::Args;
use clap::Subcommand;

use super::ExitCode;
use super::Failure;

/// Read and check the audit log
///
/// Every decision is a record of the audit log: who asked what, what was
/// answered, which policies made the answer, and under which revisions. So are
/// starts and stops, policies that came into force, and changes of the directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  why was this device denied at 03:12?
    deodar audit query --resource 'Iot::Device::\"press-01\"' --decision deny --since 03:10 --until 03:15
    deodar audit show 184467
  who asked about Bob's door last week?
    deodar audit query --resource 'Iot::Device::\"door-bob\"' --since 7d
  which policies did the last commit change in effect, and who is answered differently?
    deodar audit diff
  what else changed?
    deodar audit query --kind activation --kind directory_write --since yesterday
  is the log whole?
    deodar audit verify --path /var/lib/deodar/audit

A server is asked unless `--path` names the directory of a log. Times are UTC.")]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    verb: AuditVerb,
}

/// What can be done. The arguments of each verb say what it is for, so the
/// variants do not.
#[derive(Debug, Subcommand)]
enum AuditVerb {
    Tail(tail::TailArgs),
    Query(query::QueryArgs),
    Show(show::ShowArgs),
    Verify(verify::VerifyArgs),
    Stats(stats::StatsArgs),
    Diff(diff::DiffArgs),
}

/// Does it.
///
/// # Errors
/// When the log or the server cannot be read.
pub fn run(args: &AuditArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        AuditVerb::Tail(args) => tail::run(args),
        AuditVerb::Query(args) => query::run(args),
        AuditVerb::Show(args) => show::run(args),
        AuditVerb::Verify(args) => verify::run(args),
        AuditVerb::Stats(args) => stats::run(args),
        AuditVerb::Diff(args) => diff::run(args),
    }
}
