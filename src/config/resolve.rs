//! From what is written to what is used: precedence, types, and what the keys
//! mean together.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use super::Audit;
use super::Compression;
use super::Config;
use super::Connection;
use super::Decision;
use super::Directory;
use super::Log;
use super::Policies;
use super::Server;
use super::Shutdown;
use super::Store;
use super::Telemetry;
use super::env;
use super::env::Variables;
use super::fault::ConfigFault;
use super::fault::Origin;
use super::keys::KEYS;
use super::keys::Kind;
use super::listeners;
use super::raw;
use super::raw::Raw;
use super::raw::Value;
use super::raw::Written;
use super::reader;
use super::reader::Reader;
use crate::audit::Mode;
use crate::audit::Overflow;
use crate::audit::redact::Rule;
use crate::pdp::cache::CacheSettings;
use crate::serve::AuditLimits;
use crate::serve::DirectoryLimits;
use crate::serve::Limits;
use crate::source;
use crate::telemetry::otlp;

/// The file that is read when none is named, if it exists.
const DEFAULT_FILE: &str = "deodar.toml";

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Keys that have a flag of their own.
    pub settings: Raw,
}

impl Flags {
    /// Sets a key by a flag.
    pub fn set(&mut self, path: &str, flag: &'static str, value: Value) {
        let origin = Origin::Flag(flag);
        self.settings
            .insert(path.to_owned(), Written { value, origin });
    }
}

/// A configuration, and where each part of it comes from.
#[derive(Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Every key as it was set, in the order of the table.
    pub settings: Vec<Setting>,
}

/// One key as it was set.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value: lists as lists, sizes in bytes, durations as written.
    pub value: Value,
    /// Where it was set.
    pub origin: Origin,
}

/// Finds and reads the configuration file, and resolves.
///
/// # Errors
/// Every fault of the file, the variables and the flags.
pub fn load(flags: &Flags, variables: &Variables) -> Result<Resolved, Vec<ConfigFault>> {
    let named = |path: &Path, origin: Origin| (path.to_owned(), origin);
    let (path, origin) = match (&flags.config, variables.get(env::CONFIG)) {
        (Some(path), _) => named(path, Origin::Flag("--config")),
        (None, Some(path)) => named(Path::new(path), Origin::Variable(env::CONFIG.to_owned())),
        (None, None) => named(Path::new(DEFAULT_FILE), Origin::Default),
    };
    match fs::read_to_string(&path) {
        Ok(text) => resolve(Some((&path, &text)), variables, flags),
        Err(error) if origin == Origin::Default && error.kind() == io::ErrorKind::NotFound => {
            resolve(None, variables, flags)
        }
        Err(error) => {
            let mut faults = vec![ConfigFault {
                key: String::new(),
                value: None,
                origin,
                reason: format!(
                    "cannot read the configuration file `{}`: {error}",
                    path.display()
                ),
                hint: "name a file that exists and may be read, or leave it out for the defaults"
                    .to_owned(),
            }];
            faults.extend(resolve(None, variables, flags).err().unwrap_or_default());
            Err(faults)
        }
    }
}

/// Resolves a file (its name and text), variables and flags.
///
/// # Errors
/// Every fault of all of them.
pub fn resolve(
    file: Option<(&Path, &str)>,
    variables: &Variables,
    flags: &Flags,
) -> Result<Resolved, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    let mut raw = defaults();
    if let Some((path, text)) = file {
        raw.extend(raw::from_file(path, text, &mut faults));
    }
    raw.extend(env::settings(variables, &mut faults));
    raw.extend(flags.settings.clone());
    let mut reader = Reader { raw, faults };
    let config = config(&mut reader, variables);
    listeners::check(&mut reader, &config.server);
    if !reader.faults.is_empty() {
        return Err(reader.faults);
    }
    let settings = KEYS.iter().filter_map(|key| {
        let written = reader.raw.get(&key.path())?;
        Some(Setting {
            key: key.path(),
            value: canonical(key.kind, &written.value),
            origin: written.origin.clone(),
        })
    });
    Ok(Resolved {
        settings: settings.collect(),
        config,
    })
}

fn defaults() -> Raw {
    let written = |text: &str| Written {
        value: Value::Text(text.to_owned()),
        origin: Origin::Default,
    };
    KEYS.iter()
        .map(|key| (key.path(), written(key.default)))
        .collect()
}

fn config(r: &mut Reader, variables: &Variables) -> Config {
    Config {
        server: Server {
            grpc: r.addresses("server.grpc"),
            unix: r.sockets("server.unix"),
            http: r.address_or_off("server.http"),
            insecure: r.flag("server.insecure"),
            reflection: r.flag("server.reflection"),
        },
        policies: Policies {
            path: r.path("policies.path"),
            watch: r.flag("policies.watch"),
            debounce: r.duration("policies.debounce"),
            limits: source::Limits {
                file_bytes_max: r.number("policies.file_bytes_max"),
                files_max: r.amount("policies.files_max"),
                total_bytes_max: r.number("policies.total_bytes_max"),
                depth_max: r.amount("policies.depth_max"),
            },
        },
        directory: directory(r),
        cache: CacheSettings {
            bytes_max: r.number("cache.bytes_max"),
            stamps: u32::try_from(r.number("cache.stamps")).unwrap_or(u32::MAX),
            skip_actions: r.actions("cache.skip_actions"),
        },
        audit: audit(r),
        decision: Decision {
            time_resolution: r.duration("decision.time_resolution"),
            trust_caller_time: r.flag("decision.trust_caller_time"),
            keep_for: r.duration_or_none("decision.keep_for"),
        },
        limits: limits(r),
        connection: Connection {
            keepalive_interval: r.duration_or_none("connection.keepalive_interval"),
            keepalive_timeout: r.duration("connection.keepalive_timeout"),
            age_max: r.duration_or_none("connection.age_max"),
            age_grace: r.duration("connection.age_grace"),
        },
        compression: Compression {
            above_bytes: Some(r.amount("compression.above_bytes")).filter(|bytes| *bytes > 0),
        },
        shutdown: Shutdown {
            delay: r.duration("shutdown.delay"),
            grace: r.duration("shutdown.grace"),
        },
        telemetry: Telemetry {
            trust: r.trace_trust("telemetry.trace_trust"),
            otlp: otlp::settings::Settings::read(variables),
        },
        log: Log {
            format: r.log_format("log.format"),
            level: r.log_filter("log.level"),
        },
    }
}

fn directory(r: &mut Reader) -> Directory {
    let path = r.path("directory.path");
    Directory {
        store: if path.as_os_str() == "memory" {
            Store::Memory
        } else {
            Store::Path(path)
        },
        retain: r.number("directory.retain"),
        on_schema_conflict: r.schema_conflict("directory.on_schema_conflict"),
        entity_bytes_max: r.amount("directory.entity_bytes_max"),
        attributes_max: r.amount("directory.attributes_max"),
        tags_max: r.amount("directory.tags_max"),
        parents_max: r.amount("directory.parents_max"),
        depth_max: r.amount("directory.depth_max"),
        writes_waiting_max: r.amount("directory.writes_waiting_max"),
        limits: DirectoryLimits {
            operations_max: r.amount("directory.operations_max"),
            page_max: r.amount("directory.page_max"),
            watches_max: r.amount("directory.watches_max"),
            writes_waiting_bytes_max: r.amount("directory.writes_waiting_bytes_max"),
        },
    }
}

fn audit(r: &mut Reader) -> Audit {
    let window = r.duration("audit.window");
    let redact = r.redactions("audit.redact");
    let redact_key_file = r.path_unless("audit.redact_key_file", "none");
    if redact_key_file.is_none() && redact.iter().any(Rule::needs_key) {
        let hint = "set `audit.redact_key_file` to a file of at least 16 random bytes";
        r.refuse(
            "audit.redact",
            None,
            "has a `hash` rule, and there is no key",
            hint,
        );
    }
    Audit {
        path: r.path_unless("audit.path", "off"),
        mode: match r.word("audit.mode").as_str() {
            "sync" => Mode::Sync,
            _ => Mode::Batched { window },
        },
        overflow: match r.word("audit.overflow").as_str() {
            "deny" => Overflow::Deny,
            "count" => Overflow::Count,
            _ => Overflow::Block,
        },
        waiting_records_max: r.amount("audit.waiting_records_max"),
        waiting_bytes_max: r.amount("audit.waiting_bytes_max"),
        segment_bytes: r.number("audit.segment_bytes"),
        segment_age: r.duration("audit.segment_age"),
        keep_age: r.duration_or_none("audit.keep_age"),
        keep_bytes: Some(r.number("audit.keep_bytes")).filter(|bytes| *bytes > 0),
        context_keys: r.names("audit.context_keys"),
        digests_entities: r.word("audit.entities") == "digest",
        redact,
        redact_key_file,
        readable: r.flag("audit.readable").then(|| AuditLimits {
            page_max: r.amount("audit.page_max"),
            looked_at_max: r.number("audit.looked_at_max"),
            tails_max: r.amount("audit.tails_max"),
        }),
    }
}

fn limits(r: &mut Reader) -> Limits {
    Limits {
        message_bytes_max: r.amount("limits.message_bytes_max"),
        batch_items_max: r.amount("limits.batch_items_max"),
        id_bytes_max: r.amount("limits.id_bytes_max"),
        entities_max: r.amount("limits.entities_max"),
        depth_max: r.amount("limits.depth_max"),
        values_max: r.amount("limits.values_max"),
        connections_max: r.amount("limits.connections_max"),
        streams_per_connection_max: r.amount("limits.streams_per_connection_max"),
        deadline_max: r.duration("limits.deadline_max"),
    }
}

/// The value as its key means it, however it was written.
fn canonical(kind: Kind, value: &Value) -> Value {
    match kind {
        Kind::Flag => Value::Flag(value.to_string() == "true"),
        Kind::Sockets | Kind::Addresses | Kind::Actions | Kind::Names | Kind::Redactions => {
            Value::List(reader::list(value).into_iter().map(str::to_owned).collect())
        }
        Kind::Size(_) | Kind::Count(_) => {
            reader::number(kind, value).map_or_else(|_| value.clone(), Value::Number)
        }
        Kind::Path
        | Kind::AddressOrOff
        | Kind::Duration(_)
        | Kind::Word(_)
        | Kind::SchemaConflict
        | Kind::TraceTrust
        | Kind::LogFormat
        | Kind::LogFilter => value.clone(),
    }
}

#[cfg(test)]
mod tests;
