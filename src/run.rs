//! The composition root: the only file that names everything.
//!
//! ```text
//! Config -> Pdp -> first policies -> listeners bound -> serve + reload -> signal -> drain
//! ```

pub mod audit;
pub mod banner;
pub mod directory_records;
mod follow;
pub mod reload;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::audit::Recorder;
use crate::audit::OpenError;
use crate::config;
use crate::config::Config;
use crate::config::LogFormat;
use crate::config::resolve::Setting;
use crate::directory;
use crate::directory::Directory;
use crate::directory::check::EntityLimits;
use crate::directory::fit::OnConflict;
use crate::directory::time::Time;
use crate::directory::writer::Keep;
use crate::engine::Fault;
use crate::pdp::Pdp;
use crate::pdp::Settings;
use crate::serve::grpc::Connections;
use crate::serve::grpc::Grpc;
use crate::serve::http;
use crate::serve::listen::Incoming;
use crate::serve::listen::Listener;
use crate::serve::measured::Measured;
use crate::serve::phase::Announcer;
use crate::serve::phase::Phase;
use crate::serve::phase::phases;
use crate::source::Watch;
use crate::telemetry::Counters;
use crate::telemetry::events;
use crate::telemetry::logs;
use crate::telemetry::otlp::Exporting;
use crate::telemetry::otlp::Exports;
use reload::Outcome;
use reload::Reload;

/// A snapshot of the directory is kept after so many operations at the most, or half as many as there are entities:
/// the next start reads the rest from the log.
const SNAPSHOT_EVERY_MAX: usize = 100_000;

/// Why the server did not start, or did not go on: the operator has to mend it.
#[derive(Debug, Error)]
pub enum RunError {
    /// An address or a socket cannot be listened on.
    #[error("cannot listen on `{place}`: {error}")]
    Listen {
        /// Where.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// The policies are bad, and nobody watches for better ones.
    #[error("the policies in `{}` are refused", path.display())]
    Policies {
        /// The policy directory.
        path: PathBuf,
        /// Why.
        faults: Vec<Fault>,
    },
    /// The policy directory cannot be watched.
    #[error("cannot watch the policy directory `{}`: {error}", path.display())]
    Watch {
        /// The policy directory.
        path: PathBuf,
        /// What the system said.
        error: notify::Error,
    },
    /// The directory cannot be opened.
    #[error(transparent)]
    Directory(directory::OpenError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened: {0}")]
    Audit(OpenError),
    /// The key of redaction rules cannot be read.
    #[error("cannot read the key file `{}`: {reason}", path.display())]
    RedactKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Logging cannot start.
    #[error("cannot start logging: {0}")]
    Log(String),
    /// The system gives no runtime or signals.
    #[error("cannot start: {0}")]
    System(io::Error),
    /// The transport failed.
    #[error("the server failed: {0}")]
    Transport(String),
}

impl RunError {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::Listen { .. } => {
                "is another deodar running? choose other addresses with `--grpc`, `--http` and `--unix`"
            }
            Self::Policies { .. } => "mend the policies; `deodar validate DIR` shows the faults",
            Self::Watch { .. } => "check that the directory exists, or switch `policies.watch` off",
            Self::Directory(error) => error.hint(),
            Self::Audit(error) => error.hint(),
            Self::RedactKey { .. } => {
                "write at least 16 random bytes into it, readable for this user only"
            }
            Self::Log(_) => "write `log.level` as in `info` or `deodar=debug,tonic=warn`",
            Self::System(_) => "check the limits of the system for this user",
            Self::Transport(_) => "report this: it is a fault of deodar",
        }
    }
}

/// Serves until SIGTERM or SIGINT, and then until the calls under way ended or
/// the grace is over. At SIGHUP `reread` tells the filter of log lines anew.
///
/// # Errors
/// When it cannot start, or a listener fails as a whole.
pub fn serve(
    config: Config,
    settings: &[Setting],
    reread: impl Fn() -> Result<String, String>,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)?;
    let format = log_format(config.log.format);
    let exports = exports(&config);
    let started = logs::start(format, &config.log.level, exports.bridge());
    let level = started.map_err(RunError::Log)?;
    let served = runtime.block_on(async {
        let server = Server::start_with(config, exports).await?;
        server.recording.configured(settings);
        let mut signals = Signals::new().map_err(RunError::System)?;
        banner::show(&server);
        let asked = async |recording: &Recorder| signals.end(&level, &reread, recording).await;
        server.serve_until(asked).await
    });
    // A task that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// The decision point.
    pub pdp: Arc<Pdp>,
    /// The directory.
    pub directory: Directory,
    /// What it was made from.
    pub config: Config,
    /// Where gRPC is listened on, as people write it.
    pub grpc: Vec<String>,
    /// Where HTTP is listened on.
    pub http: Option<SocketAddr>,
    phase: Announcer,
    tasks: JoinSet<Result<(), RunError>>,
    recording: Recorder,
    exporting: Exporting,
    _control: Control,
}

/// The task that watches for policies; it ends with the server.
#[derive(Debug)]
struct Control(Option<tokio::task::JoinHandle<()>>);

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Server {
    /// Loads the policies, binds every listener, and serves on background tasks.
    ///
    /// With `policies.watch`, bad policies at the start are reported and waited
    /// out, not ready, until somebody mends them; without, they stop the start.
    ///
    /// # Errors
    /// When a listener cannot be bound, the directory cannot be watched, or the
    /// policies are bad and not watched.
    pub async fn start(config: Config) -> Result<Self, RunError> {
        let exports = exports(&config);
        Self::start_with(config, exports).await
    }

    /// As [`Server::start`], with what is exported already collecting: log lines
    /// are, from before there is a server.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(config: Config, exports: Exports) -> Result<Self, RunError> {
        let counters = Arc::clone(exports.counters());
        let mut recording = Recorder::open(&config.audit).await?;
        let pdp = Pdp::new(
            settings(&config.decision),
            &config.cache,
            Arc::clone(&counters),
        );
        let pdp = Arc::new(recording.record(pdp));
        let directory = open_directory(&config, &pdp).await?;
        recording.follow(&config.audit, &directory);
        let (announcer, follower) = phases();
        let control = control_line(&config, &pdp, &directory, announcer.clone()).await?;

        let mut tasks = JoinSet::new();
        let mut places = Vec::new();
        let connections_max = config.limits.connections_max;
        let seats = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        for listener in bind(&config).await? {
            places.push(listener.place());
            let incoming = Incoming::new(
                listener,
                Arc::clone(&seats),
                connections_max,
                Arc::clone(&counters),
            );
            let grpc = Grpc {
                pdp: Arc::clone(&pdp),
                directory: directory.clone(),
                audit: recording.reading(&config.audit),
                phase: follower.clone(),
                trace_trust: config.telemetry.trust,
                limits: config.limits,
                directory_limits: config.directory.limits,
                connections: connections(&config.connection),
                compress_above_bytes: config.compression.above_bytes.unwrap_or(0),
                reflection: config.server.reflection,
            };
            tasks.spawn(async move {
                let served = grpc.serve(incoming).await;
                served.map_err(|error| RunError::Transport(error.to_string()))
            });
        }
        let measured = Measured {
            pdp: Arc::clone(&pdp),
            directory: directory.clone(),
            phase: follower,
        };
        let to_export = measured.clone();
        let exporting = exports.start(Box::new(move || to_export.families()));
        let http = match config.server.http {
            Some(address) => Some(serve_http(address, measured, &mut tasks).await?),
            None => None,
        };
        Ok(Self {
            pdp,
            directory,
            config,
            grpc: places,
            http,
            phase: announcer,
            tasks,
            recording,
            exporting,
            _control: control,
        })
    }

    /// Serves until it is asked to end, and why, or a listener fails: a server that
    /// only seems to serve must not go on. Either way it is recorded, and what is
    /// under way may end.
    async fn serve_until(
        mut self,
        asked: impl AsyncFnOnce(&Recorder) -> &'static str,
    ) -> Result<(), RunError> {
        let asked = tokio::select! {
            signal = asked(&self.recording) => Ok(signal),
            failed = failed(&mut self.tasks) => Err(failed),
        };
        let why = asked.as_ref().copied().unwrap_or("failed");
        events::draining(why);
        self.recording.stopping(why);
        let stopped = self.stop().await;
        asked.and(stopped)
    }

    /// Drains: says so in health, waits for load balancers to notice, takes no
    /// new calls, and lets those under way end within the grace.
    ///
    /// # Errors
    /// When a listener had failed.
    pub async fn stop(mut self) -> Result<(), RunError> {
        // Health is told first and apart, listeners close after the delay.
        self.phase.send_replace(Phase::Leaving);
        tokio::time::sleep(self.config.shutdown.delay).await;
        self.phase.send_replace(Phase::Draining);
        let ended = async {
            while let Some(task) = self.tasks.join_next().await {
                task.map_err(|error| RunError::Transport(error.to_string()))??;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(self.config.shutdown.grace, ended).await;
        let ended = ended.unwrap_or_else(|_| {
            events::grace_ended();
            Ok(())
        });
        self.recording.stop().await;
        self.exporting.stop().await;
        ended
    }
}

/// Waits for a listener to end by itself.
async fn failed(tasks: &mut JoinSet<Result<(), RunError>>) -> RunError {
    match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => RunError::Transport(error.to_string()),
        Some(Ok(Ok(()))) | None => RunError::Transport("a listener ended by itself".to_owned()),
    }
}

/// Where log lines go decides how they are written, unless configured.
fn log_format(format: LogFormat) -> logs::Format {
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    match format {
        LogFormat::Human => logs::Format::Human { colour },
        LogFormat::Auto if logs::on_terminal() => logs::Format::Human { colour },
        LogFormat::Auto | LogFormat::Json => logs::Format::Json,
    }
}

/// What goes to a collector; queues only, until the server starts.
fn exports(config: &Config) -> Exports {
    let telemetry = &config.telemetry;
    let settings = telemetry.otlp.clone();
    Exports::new(settings, telemetry.trust, Arc::new(Counters::default()))
}

fn settings(decision: &config::Decision) -> Settings {
    Settings {
        time_resolution: decision.time_resolution,
        trust_caller_time: decision.trust_caller_time,
        keep_for: decision.keep_for.unwrap_or_default(),
    }
}

fn connections(connection: &config::Connection) -> Connections {
    Connections {
        keepalive_interval: connection.keepalive_interval.unwrap_or_default(),
        keepalive_timeout: connection.keepalive_timeout,
        age_max: connection.age_max.unwrap_or_default(),
        age_grace: connection.age_grace,
    }
}

/// Opening reads everything that is stored: on a thread of its own.
async fn open_directory(config: &Config, pdp: &Arc<Pdp>) -> Result<Directory, RunError> {
    let pdp = Arc::clone(pdp);
    let options = directory_options(config);
    let open = move || {
        let publish = move |view, changes: &[_]| pdp.advance(view, changes);
        Directory::open(options, Box::new(publish))
    };
    tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| RunError::System(io::Error::other(error)))?
        .map_err(RunError::Directory)
}

fn directory_options(config: &Config) -> directory::Options {
    let directory = &config.directory;
    directory::Options {
        path: match &directory.store {
            config::Store::Memory => None,
            config::Store::Path(path) => Some(path.clone()),
        },
        limits: EntityLimits {
            bytes_max: directory.entity_bytes_max,
            attributes_max: directory.attributes_max,
            tags_max: directory.tags_max,
            parents_max: directory.parents_max,
            depth_max: directory.depth_max,
            id_bytes_max: config.limits.id_bytes_max,
        },
        operations_max: directory.limits.operations_max,
        waiting_max: directory.writes_waiting_max,
        keep: Keep {
            transactions: directory.retain,
            snapshot_every: usize::try_from(directory.retain)
                .unwrap_or(usize::MAX)
                .clamp(1, SNAPSHOT_EVERY_MAX),
        },
        time: Time::System,
    }
}

async fn bind(config: &Config) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::new();
    for address in &config.server.grpc {
        if is_open(address) {
            events::insecure(address);
        }
        let listener = Listener::tcp(*address).await;
        listeners.push(listener.map_err(|error| RunError::Listen {
            place: address.to_string(),
            error,
        })?);
    }
    for path in &config.server.unix {
        listeners.push(Listener::unix(path).map_err(|error| RunError::Listen {
            place: format!("unix:{}", path.display()),
            error,
        })?);
    }
    Ok(listeners)
}

/// Whether other machines can reach it. The configuration allowed it; the log
/// says it at every start.
fn is_open(address: &SocketAddr) -> bool {
    !address.ip().is_loopback()
}

async fn serve_http(
    address: SocketAddr,
    measured: Measured,
    tasks: &mut JoinSet<Result<(), RunError>>,
) -> Result<SocketAddr, RunError> {
    let at = |error| RunError::Listen {
        place: address.to_string(),
        error,
    };
    if is_open(&address) {
        events::insecure_http(&address);
    }
    let listener = TcpListener::bind(address).await.map_err(at)?;
    let bound = listener.local_addr().map_err(at)?;
    let mut phase = measured.phase.clone();
    let routes = http::routes(measured);
    let draining = async move {
        phase.wait_for(|phase| *phase == Phase::Draining).await.ok();
    };
    tasks.spawn(async move {
        let served = axum::serve(listener, routes)
            .with_graceful_shutdown(draining)
            .await;
        served.map_err(|error| RunError::Transport(error.to_string()))
    });
    Ok(bound)
}

/// Puts the first policies in force, and follows the directory from then on.
async fn control_line(
    config: &Config,
    pdp: &Arc<Pdp>,
    directory: &Directory,
    phase: Announcer,
) -> Result<Control, RunError> {
    let path = &config.policies.path;
    // Watching starts before reading, so that no change falls between the two.
    let watch = config
        .policies
        .watch
        .then(|| Watch::new(path, config.policies.debounce));
    let watch = watch.transpose().map_err(|error| RunError::Watch {
        path: path.clone(),
        error,
    })?;
    let reload = Reload::new(
        Arc::clone(pdp),
        directory.clone(),
        match config.directory.on_schema_conflict {
            config::SchemaConflict::Reject => OnConflict::Reject,
            config::SchemaConflict::Activate => OnConflict::Activate,
        },
        path.clone(),
        config.policies.limits,
    );
    let (reload, outcome) = run_apart(reload, Reload::run).await?;
    match (outcome, watch) {
        (Outcome::Rejected(faults), None) => Err(RunError::Policies {
            path: path.clone(),
            faults,
        }),
        (outcome, None) => {
            ready_if(&outcome, &phase);
            Ok(Control(None))
        }
        (outcome, Some(watch)) => {
            ready_if(&outcome, &phase);
            let following = follow::follow(watch, reload, phase, config.policies.debounce);
            Ok(Control(Some(tokio::spawn(following))))
        }
    }
}

/// Compiling takes long for an async thread; it gets one of its own.
async fn run_apart(
    mut reload: Reload,
    attempt: fn(&mut Reload) -> Outcome,
) -> Result<(Reload, Outcome), RunError> {
    tokio::task::spawn_blocking(move || {
        let outcome = attempt(&mut reload);
        (reload, outcome)
    })
    .await
    .map_err(|error| RunError::System(io::Error::other(error)))
}

fn ready_if(outcome: &Outcome, phase: &Announcer) {
    if matches!(outcome, Outcome::Activated) {
        phase.send_if_modified(|phase| {
            let starts = *phase == Phase::Starting;
            if starts {
                *phase = Phase::Ready;
            }
            starts
        });
    }
}

/// What the process is told from outside. They are awaited from when this is made:
/// before anybody is told that the server serves.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the end; sets the level of log lines at every SIGHUP before it.
    async fn end(
        &mut self,
        level: &logs::Level,
        reread: &impl Fn() -> Result<String, String>,
        recording: &Recorder,
    ) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                Some(()) = self.hangup.recv() => {
                    let changed = reread().and_then(|filter| level.set(&filter).map(|()| filter));
                    match changed {
                        Ok(filter) => {
                            recording.log_level_changed(&filter);
                            events::log_level_changed(&filter);
                        }
                        Err(error) => events::log_level_refused(&error),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::RunError;
    use super::Server;
    use crate::audit::read::Reader;
    use crate::audit::read::Since;
    use crate::config::Flags;
    use crate::config::Store;
    use crate::config::env::Variables;
    use crate::config::resolve::resolve;

    /// What is under way is recorded, and that it ended. Seen to fail when the error
    /// is returned at once.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_listener_that_fails_ends_the_server_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let settings = resolve(None, &Variables::default(), &Flags::default());
        let mut config = settings.unwrap().config;
        config.server.grpc = vec!["127.0.0.1:0".parse().unwrap()];
        config.server.http = None;
        config.policies.path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        config.policies.watch = false;
        config.directory.store = Store::Memory;
        config.audit.path = Some(folder.path().to_owned());
        config.shutdown.delay = Duration::ZERO;
        let mut server = Server::start(config).await.unwrap();
        server
            .tasks
            .spawn(async { Err(RunError::Transport("broken".to_owned())) });
        let ended = server.serve_until(async |_| std::future::pending().await);
        let error = ended.await.unwrap_err().to_string();
        assert_eq!(error, "the server failed: broken");
        let lines = Reader::open(folder.path(), Since::Oldest).unwrap();
        let lines: Vec<_> = lines.map(Result::unwrap).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line.kind.as_str()).collect();
        assert!(kinds.contains(&"directory_write"), "{kinds:?}");
        let stop = lines.iter().find(|line| line.kind == "stop").unwrap();
        assert!(stop.text.contains("\"failed\""), "{}", stop.text);
    }
}
