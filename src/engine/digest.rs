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
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        f.write_str(&text)
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
