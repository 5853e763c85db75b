//! Snapshots as files, one each: `snapshot-<sequence, 20 digits>.bin`.
//!
//! A file is the magic, the format, the place (log, sequence, hash), each chunk
//! behind its length, a length of all ones, and the SHA-256 of all that. Numbers
//! are 64-bit big-endian. It is written under another name and renamed when it
//! is durable, so that a file with this name was whole once.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest as _;
use sha2::Sha256;

use crate::directory::log::BODY_BYTES_MAX;
use crate::directory::log::Hash;
use crate::directory::log::Head;
use crate::directory::log::LogError;
use crate::directory::log::LogId;
use crate::directory::log::Snapshot;
use crate::directory::log::check_sizes;

const MAGIC: [u8; 8] = *b"deodar\0s";
const FORMAT: u64 = 1;
const END: u64 = u64::MAX;
const BUFFER_BYTES: usize = 1 << 18;

/// What a file that is not finished ends in.
pub(super) const UNFINISHED: &str = ".new";

/// The name of the snapshot at this sequence.
pub(super) fn name(sequence: u64) -> String {
    format!("snapshot-{sequence:020}.bin")
}

/// The sequences there are snapshots of, the newest first.
pub(super) fn sequences(directory: &Path) -> Result<Vec<u64>, LogError> {
    let at = |error| LogError::of_io(directory.display().to_string(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(at)? {
        let file = entry.map_err(at)?.file_name();
        let digits = file
            .to_str()
            .and_then(|text| text.strip_prefix("snapshot-")?.strip_suffix(".bin"));
        if let Some(Ok(sequence)) = digits.map(str::parse)
            && file.to_str() == Some(&name(sequence))
        {
            found.push(sequence);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Makes what was created, renamed or removed in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), LogError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|error| LogError::of_io(directory.display().to_string(), error))
}

/// Writes a snapshot to `path`, durable when it returns.
pub(super) fn write(
    path: &Path,
    at: &Head,
    chunks: &mut dyn Iterator<Item = Vec<u8>>,
) -> Result<(), LogError> {
    let failed = |error| LogError::of_io(path.display().to_string(), error);
    let file = File::create_new(path).map_err(failed)?;
    let mut out = Writer {
        file: BufWriter::with_capacity(BUFFER_BYTES, file),
        hash: Sha256::new(),
    };
    out.put(&MAGIC).map_err(failed)?;
    out.put(&FORMAT.to_be_bytes()).map_err(failed)?;
    out.put(at.log.as_bytes()).map_err(failed)?;
    out.put(&at.sequence.to_be_bytes()).map_err(failed)?;
    out.put(at.hash.as_bytes()).map_err(failed)?;
    for chunk in chunks {
        check_sizes(std::slice::from_ref(&chunk))?;
        out.put(&(chunk.len() as u64).to_be_bytes())
            .and_then(|()| out.put(&chunk))
            .map_err(failed)?;
    }
    out.finish().map_err(failed)
}

struct Writer {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        self.put(&END.to_be_bytes())?;
        self.file.write_all(&self.hash.finalize())?;
        self.file.into_inner()?.sync_all()
    }
}

/// Opens the snapshot at a sequence, and reads it once to see that it is whole.
pub(super) fn open(directory: &Path, sequence: u64) -> Result<Snapshot, LogError> {
    let path = directory.join(name(sequence));
    let failed = |error| LogError::of_io(path.display().to_string(), error);
    let mut file = File::open(&path).map_err(failed)?;
    let (at, mut reader) = Reader::start(&path, file.try_clone().map_err(failed)?)?;
    if at.sequence != sequence {
        return Err(reader.damaged("it is of another sequence"));
    }
    while reader.chunk()?.is_some() {}
    file.rewind().map_err(failed)?;
    let (_, reader) = Reader::start(&path, file)?;
    let chunks = Box::new(reader);
    Ok(Snapshot { at, chunks })
}

/// Reads chunks, and checks at the end that they were the ones written.
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    hash: Sha256,
    is_ended: bool,
}

impl Reader {
    fn start(path: &Path, file: File) -> Result<(Head, Self), LogError> {
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            hash: Sha256::new(),
            is_ended: false,
        };
        if reader.bytes_of::<8>()? != MAGIC {
            return Err(reader.damaged("it is not a snapshot"));
        }
        let format = u64::from_be_bytes(reader.bytes_of()?);
        if format != FORMAT {
            return Err(LogError::Newer {
                what: path.display().to_string(),
                found: format,
                supported: FORMAT,
            });
        }
        let at = Head {
            log: LogId::from_bytes(reader.bytes_of()?),
            sequence: u64::from_be_bytes(reader.bytes_of()?),
            hash: Hash::from_bytes(reader.bytes_of()?),
        };
        Ok((at, reader))
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        let length = u64::from_be_bytes(self.bytes_of()?);
        if length == END {
            self.end()?;
            return Ok(None);
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= BODY_BYTES_MAX)
            .ok_or_else(|| self.damaged("a chunk has no such length"))?;
        let mut chunk = vec![0; length];
        self.fill(&mut chunk)?;
        Ok(Some(chunk))
    }

    fn end(&mut self) -> Result<(), LogError> {
        let hash: [u8; 32] = self.hash.clone().finalize().into();
        if self.bytes_of()? != hash {
            return Err(self.damaged("it is not what was written"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("something follows its end")),
            Err(error) => Err(LogError::of_io(self.path.display().to_string(), error)),
        }
    }

    fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LogError> {
        self.file
            .read_exact(bytes)
            .map_err(|error| LogError::of_io(self.path.display().to_string(), error))?;
        self.hash.update(bytes);
        Ok(())
    }

    fn damaged(&self, text: &str) -> LogError {
        LogError::damaged(format!("`{}`: {text}", self.path.display()))
    }
}

impl Iterator for Reader {
    type Item = Result<Vec<u8>, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_ended {
            return None;
        }
        let chunk = self.chunk();
        self.is_ended = !matches!(chunk, Ok(Some(_)));
        chunk.transpose()
    }
}
