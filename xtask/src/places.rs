//! Where `cargo xtask peers` puts outside programs, and where tests find them.
//!
//! Shared by path with the tests that use them, so that there is one answer.

use std::path::PathBuf;

/// The places of all peers, below `target/peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The folder of all peers.
    pub(crate) root: PathBuf,
}

impl Places {
    /// The places in the target directory that holds this executable; `None`
    /// when it is in none.
    pub(crate) fn of_this_build() -> Option<Self> {
        let executable = std::env::current_exe().ok()?;
        // Cargo keeps this file in the folder of each profile: `target/debug`.
        let profile = executable
            .ancestors()
            .find(|folder| folder.join(".cargo-lock").is_file())?;
        let target = profile.parent()?;
        Some(Self {
            root: target.join("peers"),
        })
    }

    /// The npm project that holds buf.
    pub(crate) fn npm(&self) -> PathBuf {
        self.root.join("npm")
    }

    /// The protobuf linter.
    pub(crate) fn buf(&self) -> PathBuf {
        self.npm().join("node_modules/.bin/buf")
    }

    /// The Python environment of the examples.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join("python")
    }

    /// Python with gRPC and protobuf.
    pub(crate) fn python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }

    /// The Python environment of what reads telemetry.
    pub(crate) fn telemetry(&self) -> PathBuf {
        self.root.join("telemetry")
    }

    /// Python with a reader of metrics.
    pub(crate) fn metrics_reader(&self) -> PathBuf {
        self.telemetry().join("bin/python")
    }

    /// A collector of OTLP.
    pub(crate) fn collector(&self) -> PathBuf {
        self.telemetry().join("bin/rotel-agent")
    }
}
