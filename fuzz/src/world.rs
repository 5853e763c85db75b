//! A small world to ask about: every kind of type, scope and policy once.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use deodar::directory;
use deodar::engine::Fault;
use deodar::engine::Files;
use deodar::engine::compile;
use deodar::pdp::Pdp;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::telemetry::Counters;

/// The files of the world, by their path in a policy repository.
pub const FILES: [(&str, &str); 5] = [
    ("manifest.toml", include_str!("../world/manifest.toml")),
    (
        "home.cedarschema",
        include_str!("../world/home.cedarschema"),
    ),
    ("home.cedar", include_str!("../world/home.cedar")),
    (
        "entities/home.json",
        include_str!("../world/entities/home.json"),
    ),
    ("links/home.json", include_str!("../world/links/home.json")),
];

/// A decision point for the world.
pub static HOME: LazyLock<Arc<Pdp>> =
    LazyLock::new(|| serving(&files(&[])).expect("the world has no faults"));

/// A decision point without a schema, where any context is taken.
pub static BARE: LazyLock<Arc<Pdp>> = LazyLock::new(|| {
    let policy = b"@id(\"all\") permit (principal, action, resource);";
    let files = Files::new([("bare.cedar".to_owned(), policy.to_vec())]);
    serving(&files).expect("the bare world has no faults")
});

/// The file that a fuzz target replaces at this letter.
pub fn path(letter: u8) -> Option<&'static str> {
    match letter {
        b'm' => Some("manifest.toml"),
        b's' => Some("home.cedarschema"),
        b'p' => Some("home.cedar"),
        b'e' => Some("entities/home.json"),
        b'l' => Some("links/home.json"),
        _ => None,
    }
}

/// The files of the world, some of them replaced.
pub fn files(replaced: &[(&str, &[u8])]) -> Files {
    let own = FILES.iter().map(|(path, text)| (*path, text.as_bytes()));
    let all = own.chain(replaced.iter().copied());
    Files::new(all.map(|(path, content)| (path.to_owned(), content.to_vec())))
}

/// A decision point for these files, in which time stands still: the same
/// question has the same answer.
///
/// # Errors
/// What is wrong with them.
pub fn serving(files: &Files) -> Result<Arc<Pdp>, Vec<Fault>> {
    let snapshot = compile(files)?;
    let view = directory::load(&snapshot, files)?;
    let settings = Settings {
        trust_caller_time: true,
        // So coarse that the server's own time is always 1970.
        time_resolution: Duration::from_hours(24 * 365 * 200),
        ..Settings::default()
    };
    let pdp = Pdp::new(
        settings,
        &CacheSettings::default(),
        Arc::new(Counters::default()),
    );
    pdp.state().publish(Active {
        policies: Arc::new(Policies::new(snapshot, "fuzz".to_owned(), UNIX_EPOCH)),
        view,
    });
    Ok(Arc::new(pdp))
}
