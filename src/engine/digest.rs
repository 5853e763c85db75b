//! The content digest of a policy repository.

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;

/// SHA-256 over the files of a repository: same bytes, same digest, on every
/// replica and whatever the order in which the files were read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests `(path, content)` pairs.
    ///
    /// Paths are sorted and every part is preceded by its length, so that no
    /// two different repositories feed the same bytes to the hash.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let mut hash = Sha256::new();
        for (path, content) in files {
            hash.update((path.len() as u64).to_be_bytes());
            hash.update(path.as_bytes());
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        Self(hash.finalize().into())
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: it is in every record of the audit log.
        let mut text = [0; 2 * size_of::<Self>()];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' - 10 + nibble
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn order_of_files_does_not_matter_but_their_borders_do() {
        let ab = Digest::of_files([("a", b"1".as_slice()), ("b", b"2")]);
        assert_eq!(ab, Digest::of_files([("b", b"2".as_slice()), ("a", b"1")]));
        assert_ne!(ab, Digest::of_files([("a", b"12".as_slice()), ("b", b"")]));
        assert_ne!(ab, Digest::of_files([("a1", b"".as_slice()), ("b", b"2")]));
    }
}
