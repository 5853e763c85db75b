//! `deodar explain`: why one question is answered as it is, and what would turn it.

pub mod facts;
pub mod report;
pub mod shown;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Value;
use clap::Args;
use clap::ValueEnum;
use serde_json::Value as Json;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::audit::source::unreadable;
use super::check::local;
use super::check::question;
use super::check::question::JsonText;
use super::check::question::Question;
use super::failure::Message;
use super::output;
use super::output::WARN;
use super::output::paint;
use super::repository::Repository;
use super::time;
use crate::analysis::turn::turn;
use crate::audit::filter::Filter;
use crate::audit::query::each;
use crate::audit::replay;
use crate::config::Config;
use crate::engine::Query;
use crate::engine::View;
use crate::engine::decide;
use crate::testing;
use crate::testing::Case;
use report::Report;

const FORMAT_HELP: &str = r#"How to write it: for people, or
json: {"decision", "cause", "sentence", "policies": [{"policy", "text", "clauses": [{"text", "line", "value", "error", "reads": [{"expression", "value"}], "passed_over"}], "error"}], "near_misses": [..], "near_misses_left_out", "failed": [..], "facts": {"ancestors": [{"entity", "ancestor"}], "attributes": [{"expression", "value"}], "context": [..], "links": [{"id", "template"}]}, "turn": {"changes": [{"what": "context"|"attribute"|"parent", "entity", "path", "parent", "from", "to", "sentence"}], "tried", "is_cut"}}"#;

/// Explain one decision: conditions, values, what would turn it
///
/// Shows the policies that decide, each condition with the value that it had and
/// what it read, the policies that nearly decided, and the smallest change of
/// attributes, context or memberships that would turn the decision. That last is
/// best effort: a change that is shown was decided on and turns the decision, but
/// there may be a smaller one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar explain --policies policies/ --principal 'Iot::Device::\"press-1\"' \\
      --action 'Iot::Action::\"publish\"' --resource 'Iot::Topic::\"plant/press-1/temperature\"'
  deodar explain --policies policies/ --case 'a resident opens the door at home'
  deodar explain --case 'guests stay out' --in tests/doors.test.yaml --format json
  deodar explain --record 184467 --path /var/lib/deodar/audit

Exit codes: 0 allowed, 1 failed, 2 usage or configuration, 3 denied, 4 invalid policies")]
pub struct ExplainArgs {
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, required_unless_present_any = ["case", "record"], help = r#"Who asks, as in a policy: 'Type::"id"'"#)]
    principal: Option<EntityUid>,
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, required_unless_present_any = ["case", "record"], help = r#"To do what: 'Action::"id"'"#)]
    action: Option<EntityUid>,
    #[arg(long, value_name = "ENTITY", value_parser = question::entity, required_unless_present_any = ["case", "record"], help = r#"To what: 'Type::"id"'"#)]
    resource: Option<EntityUid>,
    /// The circumstances: a Cedar JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    context: Option<JsonText>,
    /// Entities to lay over those of the directory: a Cedar JSON array, @FILE, or -
    #[arg(long, value_name = "JSON|@FILE|-")]
    entities: Option<JsonText>,
    /// The time to decide for, where the schema declares `context.now`; by default the clock's
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    now: Option<Value>,
    /// Explain the test case of this name instead
    #[arg(long, value_name = "NAME", conflicts_with_all = ["principal", "action", "resource", "context", "entities", "now"])]
    case: Option<String>,
    /// The test file of the case, relative to the directory, where several have one of this name
    #[arg(long = "in", value_name = "FILE", requires = "case")]
    test_file: Option<PathBuf>,
    /// Explain what this record of an audit log asks instead, by the policies and entities of the
    /// policy directory
    #[arg(long, value_name = "SEQ", requires = "path", conflicts_with_all = ["principal", "action", "resource", "context", "entities", "now", "case"])]
    record: Option<u64>,
    /// The directory of the audit log that has the record
    #[arg(long, value_name = "AUDIT", requires = "record")]
    path: Option<PathBuf>,
    /// Decide from this policy directory; by default the current one if it has a `manifest.toml`,
    /// else the one that is configured [key: policies.path]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help = FORMAT_HELP, hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    file: FileArg,
}

/// How to write an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Human,
    Json,
}

/// Decides, and prints why.
///
/// # Errors
/// When the question cannot be asked.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let repository = Repository::open(args.policies.as_deref(), &args.file)?;
    let record = args.recorded()?;
    let (query, view) = args.asked(&repository, &config, record.as_ref())?;
    let snapshot = &repository.snapshot;
    let found = turn(snapshot, &view, &query);
    let report = Report::new(snapshot, &view, &query, &found)?;
    if let Some(record) = record {
        let decision = decide(snapshot, &view, &query)?;
        if let Some(what) = replay::differs(&record, &decision) {
            let warning = paint(WARN, "warning:");
            output::stderr(&format!(
                "{warning} the record has another `{what}`: policies, entities or the time were others\n"
            ));
        }
    }
    output::stdout(&match args.format {
        Format::Human => shown::text(&report),
        Format::Json => output::json(&report),
    });
    Ok(if report.is_allow() {
        ExitCode::Yes
    } else {
        ExitCode::Denied
    })
}

impl ExplainArgs {
    fn asked<'a>(
        &self,
        repository: &'a Repository,
        config: &Config,
        record: Option<&Json>,
    ) -> Result<(Query, Cow<'a, View>), Failure> {
        if let Some(record) = record {
            let query = replay::question(&repository.snapshot, record).map_err(|error| {
                let hint = "explain another record, or ask with `--principal` and the others";
                Failure::Failed(Message::new(error, hint))
            })?;
            return Ok((query, Cow::Borrowed(&repository.view)));
        }
        if let Some(name) = &self.case {
            let case = self.find(name, repository)?;
            let asked = case
                .asked(&repository.snapshot, &repository.view)
                .map_err(|fault| Failure::Invalid(vec![*fault]))?;
            return Ok((asked.query, asked.view));
        }
        let parties = (&self.principal, &self.action, &self.resource);
        let (Some(principal), Some(action), Some(resource)) = parties else {
            let message = "there is no question";
            let hint = "give `--principal`, `--action` and `--resource`, or `--case`";
            return Err(Failure::Usage(Message::new(message, hint)));
        };
        let inputs = [&self.context, &self.entities];
        if inputs
            .iter()
            .all(|input| matches!(input, Some(JsonText::Input)))
        {
            let message = "standard input cannot be both the context and the entities";
            let hint = "give one of them as @FILE";
            return Err(Failure::Usage(Message::new(message, hint)));
        }
        let read = |name, text: &Option<JsonText>, default| match text {
            Some(text) => text.read(name),
            None => Ok(default),
        };
        let question = Question {
            principal: principal.clone(),
            action: action.clone(),
            resource: resource.clone(),
            context: read("--context", &self.context, serde_json::json!({}))?,
            entities: read("--entities", &self.entities, serde_json::json!([]))?,
            now: self.now.clone(),
        };
        let query = local::query(&repository.snapshot, config, question)?;
        Ok((query, Cow::Borrowed(&repository.view)))
    }

    /// The record that is to be explained, if it is one.
    fn recorded(&self) -> Result<Option<Json>, Failure> {
        let (Some(seq), Some(path)) = (self.record, &self.path) else {
            return Ok(None);
        };
        let mut found = None;
        each(path, &Filter::default(), Some(seq.max(1)), |line| {
            found = Some(line);
            ControlFlow::Break(())
        })
        .map_err(|error| unreadable(&error))?;
        let record = found.filter(|line| line.seq == seq);
        let record = record.and_then(|line| serde_json::from_str(&line.text).ok());
        if record.is_none() {
            let message = format!("there is no record {seq} in `{}`", path.display());
            let hint = "`deodar audit query --path AUDIT` lists those that there are";
            return Err(Failure::Failed(Message::new(message, hint)));
        }
        Ok(record)
    }

    fn find(&self, name: &str, repository: &Repository) -> Result<Case, Failure> {
        let read = testing::read(&repository.files, Some(&repository.snapshot));
        let cases = read.suites.into_iter().flat_map(|suite| suite.cases);
        let mut cases = cases.filter(|case| {
            let in_file = self.test_file.as_ref();
            case.name == name && in_file.is_none_or(|file| is_file(repository, file, &case.file))
        });
        match (cases.next(), cases.next()) {
            (Some(case), None) => Ok(case),
            (Some(case), Some(other)) => {
                let message = format!(
                    "`{}` and `{}` have a case `{name}` each",
                    case.file, other.file
                );
                let hint = "name the file with `--in`";
                Err(Failure::Usage(Message::new(message, hint)))
            }
            (None, _) if !read.faults.is_empty() => Err(Failure::Invalid(read.faults)),
            (None, _) => {
                let message = format!("there is no test case `{name}`");
                let hint = "`deodar test --verbose` lists the names of all";
                Err(Failure::Usage(Message::new(message, hint)))
            }
        }
    }
}

/// Whether a path is that of a file of the repository: as it is in there, or as it
/// is from here.
fn is_file(repository: &Repository, path: &Path, file: &str) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    let there = repository.path.join(file);
    path == Path::new(file) || whole(path).is_some_and(|path| Some(path) == whole(&there))
}
