//! `deodar directory export`: everything at one revision, to import again.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use super::ServerArgs;
use super::pages::Pages;
use super::shown::entity_json;
use super::shown::link_json;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output;
use crate::cli::output::count;
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::proto::v1;
use crate::proto::v1::list_request::Filter;

/// Write entities or links to a file, all as they were at one revision
///
/// Each is one line of Cedar's JSON, in order of type and id, as `deodar
/// directory import` reads it. The revision is told on standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar directory export -o entities.ndjson
  deodar directory export --links -o links.ndjson
  deodar directory export --type Iot::Device --format json > devices.json")]
pub struct ExportArgs {
    /// Only entities of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "links")]
    entity_type: Option<String>,
    /// Links instead of entities
    #[arg(long)]
    links: bool,
    /// Where to write; by default to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "ndjson")]
    format: Format,
    /// What `--format json` was called before.
    #[arg(long, hide = true, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// How to write what is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line of JSON each
    Ndjson,
    /// One JSON array
    Json,
}

/// Exports.
///
/// # Errors
/// When the server or the file cannot be reached, or the server refuses.
pub fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let server = args.server.address()?;
    let unwritable = |path: Option<&Path>, error: io::Error| {
        let place = path.map_or_else(
            || "standard output".to_owned(),
            |path| format!("`{}`", path.display()),
        );
        let message = format!("cannot write to {place}: {error}");
        Failure::Failed(Message::new(
            message,
            "is there room, and may you write there?",
        ))
    };
    let path = args.output.as_deref();
    let into: Box<dyn Write> = match path {
        None => Box::new(io::stdout().lock()),
        Some(file) => Box::new(File::create(file).map_err(|error| unwritable(path, error))?),
    };
    let mut sheet = Sheet {
        into: BufWriter::new(into),
        is_array: args.json || args.format == Format::Json,
        count: 0,
    };
    let written = block_on(async { Ok(write(args, &server, &mut sheet).await) });
    let revision = match written? {
        Ok(revision) => revision,
        // A reader that has gone away, such as `head`, wanted no more.
        Err(Stop::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::Yes);
        }
        Err(Stop::Write(error)) => return Err(unwritable(path, error)),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    let exported = if args.links {
        count(sheet.count, "link", "links")
    } else {
        count(sheet.count, "entity", "entities")
    };
    output::stderr(&format!("exported {exported}, revision {revision}\n"));
    Ok(ExitCode::Yes)
}

/// Why an export ended early.
enum Stop {
    Failed(Failure),
    Write(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// What is written, line by line.
struct Sheet<W: Write> {
    into: BufWriter<W>,
    is_array: bool,
    count: usize,
}

impl<W: Write> Sheet<W> {
    fn line(&mut self, json: serde_json::Map<String, serde_json::Value>) -> io::Result<()> {
        let before = match (self.is_array, self.count) {
            (false, _) => "",
            (true, 0) => "[\n",
            (true, _) => ",\n",
        };
        self.count += 1;
        let json = serde_json::Value::Object(json);
        let after = if self.is_array { "" } else { "\n" };
        write!(self.into, "{before}{json}{after}")
    }

    fn end(&mut self) -> io::Result<()> {
        match (self.is_array, self.count) {
            (false, _) => {}
            (true, 0) => writeln!(self.into, "[]")?,
            (true, _) => writeln!(self.into, "\n]")?,
        }
        self.into.flush()
    }
}

async fn write<W: Write>(
    args: &ExportArgs,
    server: &ServerAddress,
    sheet: &mut Sheet<W>,
) -> Result<String, Stop> {
    let filter = if args.links {
        Filter::Links(v1::LinkFilter::default())
    } else {
        Filter::Entities(v1::EntityFilter {
            r#type: args.entity_type.clone().unwrap_or_default(),
            ..v1::EntityFilter::default()
        })
    };
    let mut pages = Pages::new(server, filter).await?;
    let mut revision = String::new();
    while let Some(page) = pages.next().await? {
        for stored in &page.entities {
            sheet.line(entity_json(stored)?)?;
        }
        for link in page.links.iter().filter_map(|stored| stored.link.as_ref()) {
            sheet.line(link_json(link))?;
        }
        revision = page.revision;
    }
    sheet.end()?;
    Ok(revision)
}
