//! How far an import got, in a small file beside its input.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::failure::Message;

/// What to do when an earlier import cannot be gone on with.
pub const BEGIN_ANEW: &str =
    "import without `--resume` to begin anew: what is stored already is stored again";

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Where it is imported to.
    server: String,
    /// How many were acknowledged, from the first on.
    acknowledged: u64,
    /// The hash of their texts: they must not change, what comes after may.
    head: String,
}

/// Keeps how far an import got.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    state: State,
}

impl Resume {
    /// Begins an import; goes on with an earlier one if asked to and if there was
    /// one.
    ///
    /// # Errors
    /// When the file cannot be read, or the earlier import was another one.
    pub fn begin(input: &Path, server: &str, goes_on: bool) -> Result<Self, Failure> {
        let mut name = input.as_os_str().to_owned();
        name.push(".resume");
        let path = PathBuf::from(name);
        let mut state = State {
            server: server.to_owned(),
            acknowledged: 0,
            head: String::new(),
        };
        if goes_on {
            match fs::read_to_string(&path) {
                Ok(text) => state = earlier(&path, &text, server)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("cannot read `{}`: {error}", path.display());
                    return Err(Failure::Failed(Message::new(message, BEGIN_ANEW)));
                }
            }
        } else {
            // Of an import that nobody wants to go on with.
            fs::remove_file(&path).ok();
        }
        Ok(Self { path, state })
    }

    /// How many are done.
    pub fn acknowledged(&self) -> u64 {
        self.state.acknowledged
    }

    /// The hash of the texts of those that are done.
    pub fn head(&self) -> &str {
        &self.state.head
    }

    /// So many are done now, whose texts have this hash.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn acknowledge(&mut self, count: u64, head: String) -> Result<(), Failure> {
        self.state.acknowledged = count;
        self.state.head = head;
        let json = serde_json::to_string(&self.state).unwrap_or_default();
        // Whole or not at all: the process may be killed here.
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let written = fs::write(&beside, json).and_then(|()| fs::rename(&beside, &self.path));
        written.map_err(|error| {
            let message = format!("cannot write `{}`: {error}", self.path.display());
            let hint = "it notes how far the import is; import from a directory that you may write to, or from standard input";
            Failure::Failed(Message::new(message, hint))
        })
    }

    /// All are done: there is nothing to go on with.
    pub fn end(self) {
        // That it is left is no harm.
        fs::remove_file(&self.path).ok();
    }
}

fn earlier(path: &Path, text: &str, server: &str) -> Result<State, Failure> {
    let refused = |what: &str| {
        let message = format!("`{}` {what}", path.display());
        Failure::Failed(Message::new(message, BEGIN_ANEW))
    };
    let earlier: State = serde_json::from_str(text)
        .map_err(|error| refused(&format!("is not what an import left: {error}")))?;
    if earlier.server != server {
        let server = &earlier.server;
        return Err(refused(&format!("is of an import to `{server}`")));
    }
    Ok(earlier)
}
