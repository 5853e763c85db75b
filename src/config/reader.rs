//! Typed values of keys, with every fault collected.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;
use smol_str::SmolStr;
use tracing_subscriber::EnvFilter;

use super::LogFormat;
use super::SchemaConflict;
use super::address;
use super::duration;
use super::fault::ConfigFault;
use super::fault::Origin;
use super::fault::Refusal;
use super::keys::Bounds;
use super::keys::Kind;
use super::keys::find;
use super::raw::Raw;
use super::raw::Value;
use super::size;
use crate::audit::redact::Rule;
use crate::telemetry::trace::Trust;

/// The length that `sockaddr_un` has room for on every system.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Reads keys from what all sources set together.
///
/// A value that is refused is noted and replaced by an empty one, so that all
/// faults come out at once; whoever asks must look at `faults` in the end.
#[derive(Debug)]
pub struct Reader {
    /// What is set, defaults included.
    pub raw: Raw,
    /// What was refused.
    pub faults: Vec<ConfigFault>,
}

impl Reader {
    /// A yes or no.
    pub fn flag(&mut self, path: &str) -> bool {
        self.read(path, |value| match value {
            Value::Flag(flag) => Ok(*flag),
            Value::Text(text) if text == "true" => Ok(true),
            Value::Text(text) if text == "false" => Ok(false),
            _ => Err(Refusal::new(
                "is not a yes or no",
                "write `true` or `false`",
            )),
        })
    }

    /// A path.
    pub fn path(&mut self, path: &str) -> PathBuf {
        self.read(path, |value| text(value).map(PathBuf::from))
    }

    /// Paths of unix sockets.
    pub fn sockets(&mut self, path: &str) -> Vec<PathBuf> {
        self.read(path, |value| {
            let items = list(value);
            let parse =
                |text: &str| socket(text).map_err(|refusal| of_item(text, items.len(), refusal));
            items.iter().map(|text| parse(text)).collect()
        })
    }

    /// Actions, as policies write them.
    pub fn actions(&mut self, path: &str) -> HashSet<EntityUID> {
        self.read(path, |value| {
            let items = list(value);
            let parse = |text: &str| {
                let uid = EntityUID::from_str(text).ok().filter(EntityUID::is_action);
                uid.ok_or_else(|| {
                    let refusal = Refusal::new(
                        "is not an action",
                        "write it as in a policy: `Namespace::Action::\"name\"`",
                    );
                    of_item(text, items.len(), refusal)
                })
            };
            items.iter().map(|text| parse(text)).collect()
        })
    }

    /// One of the words of the key.
    pub fn word(&mut self, path: &str) -> String {
        self.read(path, |value| {
            let text = text(value)?;
            match find(path).map(|key| key.kind) {
                Some(Kind::Word(words)) if !words.contains(&text) => {
                    let hint = format!("write {}", Kind::Word(words).values());
                    Err(Refusal::new("is not one of the words", hint))
                }
                _ => Ok(text.to_owned()),
            }
        })
    }

    /// Names of context keys.
    pub fn names(&mut self, path: &str) -> Vec<SmolStr> {
        self.read(path, |value| {
            let items = list(value);
            let is_of_name = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
            let parse = |text: &str| {
                if !text.is_empty() && text.chars().all(is_of_name) {
                    return Ok(SmolStr::new(text));
                }
                let hint =
                    "write it as the schema declares it: letters, digits, `_`, `-`, `.` and `:`";
                Err(of_item(
                    text,
                    items.len(),
                    Refusal::new("is not a name", hint),
                ))
            };
            items.iter().map(|text| parse(text)).collect()
        })
    }

    /// Redaction rules.
    pub fn redactions(&mut self, path: &str) -> Vec<Rule> {
        self.read(path, |value| {
            let items = list(value);
            let parse = |text: &str| {
                text.parse().map_err(|_| {
                    let hint = "write `context.session.ip=mask`, `entities.phone=drop`, `caller=hash` or `entity:Org::User=hash`";
                    of_item(text, items.len(), Refusal::new("is not a redaction rule", hint))
                })
            };
            items.iter().map(|text| parse(text)).collect()
        })
    }

    /// A path, unless it is this word.
    pub fn path_unless(&mut self, path: &str, word: &str) -> Option<PathBuf> {
        Some(self.path(path)).filter(|path| path.as_os_str() != word)
    }

    /// Addresses to listen on.
    pub fn addresses(&mut self, path: &str) -> Vec<SocketAddr> {
        self.read(path, |value| {
            let items = list(value);
            let parse = |text: &str| {
                address::parse(text).map_err(|refusal| of_item(text, items.len(), refusal))
            };
            items.iter().map(|text| parse(text)).collect()
        })
    }

    /// An address to listen on, or `off`.
    pub fn address_or_off(&mut self, path: &str) -> Option<SocketAddr> {
        self.read(path, |value| match text(value)? {
            "off" => Ok(None),
            text => address::parse(text).map(Some).map_err(|refusal| {
                Refusal::new(refusal.reason, format!("{}, or `off`", refusal.hint))
            }),
        })
    }

    /// A duration.
    pub fn duration(&mut self, path: &str) -> Duration {
        Duration::from_millis(self.number(path))
    }

    /// A duration, where zero means that there is none.
    pub fn duration_or_none(&mut self, path: &str) -> Option<Duration> {
        Some(self.duration(path)).filter(|duration| !duration.is_zero())
    }

    /// A number of things or bytes.
    pub fn amount(&mut self, path: &str) -> usize {
        // Bounds keep every amount far below the largest `usize`.
        usize::try_from(self.number(path)).unwrap_or(usize::MAX)
    }

    /// A number in the smallest unit of its kind, within its bounds.
    pub fn number(&mut self, path: &str) -> u64 {
        let Some(key) = find(path) else {
            return 0;
        };
        self.read(path, |value| number(key.kind, value))
    }

    /// What becomes of policies whose schema stored entities do not fit.
    pub fn schema_conflict(&mut self, path: &str) -> SchemaConflict {
        self.read(path, |value| match text(value)? {
            "reject" => Ok(SchemaConflict::Reject),
            "activate" => Ok(SchemaConflict::Activate),
            _ => Err(Refusal::new(
                "is no way to go on",
                "write `reject` or `activate`",
            )),
        })
    }

    /// What is made of the trace of a caller.
    pub fn trace_trust(&mut self, path: &str) -> Trust {
        self.read(path, |value| match text(value)? {
            "child" => Ok(Trust::Child),
            "link" => Ok(Trust::Link),
            "ignore" => Ok(Trust::Ignore),
            _ => Err(Refusal::new(
                "is no way to treat a trace",
                "write `child`, `link` or `ignore`",
            )),
        })
    }

    /// How log lines are written.
    pub fn log_format(&mut self, path: &str) -> LogFormat {
        self.read(path, |value| match text(value)? {
            "auto" => Ok(LogFormat::Auto),
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(Refusal::new(
                "is not a log format",
                "write `auto`, `human` or `json`",
            )),
        })
    }

    /// Which log lines are written.
    pub fn log_filter(&mut self, path: &str) -> String {
        self.read(path, |value| {
            let text = text(value)?;
            EnvFilter::builder().parse(text).map_err(|_| {
                let hint = "write a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or directives such as `info,deodar::source=debug`";
                Refusal::new("is not a log filter", hint)
            })?;
            Ok(text.to_owned())
        })
    }

    /// Notes a fault with a key whose value was read.
    pub fn refuse(&mut self, path: &str, value: Option<String>, reason: &str, hint: &str) {
        self.faults.push(ConfigFault {
            key: path.to_owned(),
            value,
            origin: self
                .raw
                .get(path)
                .map_or(Origin::Default, |written| written.origin.clone()),
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        });
    }

    fn read<T: Default>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Value) -> Result<T, Refusal>,
    ) -> T {
        // Every key has a default; a test reads them all.
        let Some(value) = self.raw.get(path).map(|written| &written.value) else {
            return T::default();
        };
        match parse(value) {
            Ok(value) => value,
            Err(refusal) => {
                let value = value.to_string();
                self.refuse(path, Some(value), &refusal.reason, &refusal.hint);
                T::default()
            }
        }
    }
}

/// Reads a number as its kind writes it, in the smallest unit of the kind.
pub fn number(kind: Kind, value: &Value) -> Result<u64, Refusal> {
    match kind {
        Kind::Duration(bounds) => {
            let millis = duration::parse(text(value)?)?.as_millis();
            within(
                bounds,
                u64::try_from(millis).unwrap_or(u64::MAX),
                duration::shown,
            )
        }
        Kind::Size(bounds) => within(bounds, size::parse(&value.to_string())?, size::shown),
        Kind::Count(bounds) => {
            let count = value.to_string().parse();
            let refusal = |_| Refusal::new("is not a number", "write a whole number");
            within(bounds, count.map_err(refusal)?, |number| number.to_string())
        }
        _ => Err(Refusal::new("is not a number", "write text")),
    }
}

fn within(bounds: Bounds, number: u64, shown: impl Fn(u64) -> String) -> Result<u64, Refusal> {
    if bounds.hold(number) {
        return Ok(number);
    }
    let hint = format!("write {}", bounds.shown(shown));
    Err(Refusal::new("is out of bounds", hint))
}

/// The items of a list; in a variable or flag they have commas between them.
pub fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::List(items) => items.iter().map(String::as_str).collect(),
        Value::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect(),
        _ => vec![""],
    }
}

fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text),
        Value::Text(_) => Err(Refusal::new(
            "is empty",
            "write a value, or leave the key out for its default",
        )),
        Value::Number(number) => Err(Refusal::new(
            "is a bare number",
            format!("write text, in quotes, such as `\"{number}s\"` for a duration"),
        )),
        Value::Flag(_) | Value::List(_) => {
            Err(Refusal::new("is not text", "write one value, in quotes"))
        }
    }
}

fn socket(path: &str) -> Result<PathBuf, Refusal> {
    match path.len() {
        0 => Err(Refusal::new("is no path", "write the path of the socket")),
        1..=SOCKET_PATH_BYTES_MAX => Ok(PathBuf::from(path)),
        _ => {
            let hint = format!("use a path of at most {SOCKET_PATH_BYTES_MAX} bytes");
            Err(Refusal::new("is too long for a unix socket", hint))
        }
    }
}

/// Tells which of several items is refused.
fn of_item(item: &str, items: usize, refusal: Refusal) -> Refusal {
    if items == 1 {
        return refusal;
    }
    Refusal::new(
        format!("has the item `{item}`, which {}", refusal.reason),
        refusal.hint,
    )
}
