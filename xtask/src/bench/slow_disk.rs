//! A disk that is slower than the one of this machine.
//!
//! A small library, compiled when it is needed, is loaded into the server before
//! the C library. Its `fsync` and `fdatasync` wait first, and then do the real one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::process;

const SOURCE: &str = include_str!("slow_disk.c");

/// The library, compiled.
pub(crate) struct SlowDisk {
    place: tempfile::TempDir,
    library: PathBuf,
}

/// The syncs of one server.
pub(crate) struct Syncs {
    settings: Vec<(&'static str, String)>,
    count: PathBuf,
    held: PathBuf,
}

impl SlowDisk {
    /// Compiles it.
    pub(crate) fn compile() -> Result<Self, String> {
        let place = process::scratch("slow-disk-")?;
        let source = place.path().join("slow_disk.c");
        let library = place.path().join("slow_disk.so");
        fs::write(&source, SOURCE).map_err(|error| format!("{}: {error}", source.display()))?;
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &source]);
        process::succeed(&mut compiler)
            .map_err(|error| format!("{error}\na slow disk needs a C compiler: install `cc`"))?;
        Ok(Self { place, library })
    }

    /// Syncs that wait so long each, for a server of this name.
    pub(crate) fn syncs(&self, server: &str, millis: u64) -> Syncs {
        let count = self.place.path().join(format!("{server}.count"));
        let held = self.place.path().join(format!("{server}.held"));
        let settings = vec![
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            ("SLOW_DISK_MILLIS", millis.to_string()),
            ("SLOW_DISK_COUNT", count.to_string_lossy().into_owned()),
            ("SLOW_DISK_HELD", held.to_string_lossy().into_owned()),
        ];
        Syncs {
            settings,
            count,
            held,
        }
    }
}

impl Syncs {
    /// What the server is started with.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// How many there were.
    pub(crate) fn count(&self) -> Result<u64, String> {
        match fs::metadata(&self.count) {
            Ok(file) => Ok(file.len()),
            Err(error) => Err(format!(
                "{}: {error}: the server does not sync by way of the library",
                self.count.display()
            )),
        }
    }

    /// From now on no sync returns.
    pub(crate) fn hold(&self) -> Result<(), String> {
        fs::write(&self.held, "").map_err(|error| format!("{}: {error}", self.held.display()))
    }

    /// Those that wait return, and all others too.
    pub(crate) fn let_go(&self) -> Result<(), String> {
        fs::remove_file(&self.held).map_err(|error| format!("{}: {error}", self.held.display()))
    }
}
