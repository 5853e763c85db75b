//! The search for a secret in whatever was written.

use std::fs;
use std::path::Path;

/// Where the files of an audit log have the secret.
pub(super) fn in_log(directory: &Path, secret: &str) -> Vec<String> {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{} is not searched: {error}", directory.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|end| end == "zst") {
            bytes = zstd::decode_all(&*bytes).unwrap();
        }
        found.extend(in_text(&path.display().to_string(), &bytes, secret));
    }
    found
}

/// The lines that have the secret, with where they are.
pub(super) fn in_text(place: &str, text: &[u8], secret: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut forms = forms(secret);
    forms.retain(|form| text.contains(form));
    let mut found = Vec::new();
    if !forms.is_empty() {
        let lines = text.lines();
        let lines = lines.filter(|line| forms.iter().any(|form| line.contains(form)));
        found.extend(lines.map(|line| format!("{place}: {line}")));
    }
    found
}

/// Every form in which bytes of ours or of a library might be written.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        secret.to_owned(),
        secret.to_uppercase(),
        hex.to_uppercase(),
        hex,
        // A list of bytes, as `Debug` and JSON have it.
        decimal.join(", "),
        decimal.join(","),
    ];
    // Wherever in what is encoded it begins.
    for first in 0..3 {
        let text = base64(bytes.get(first..).unwrap());
        forms.push(text.replace('+', "-").replace('/', "_"));
        forms.push(text);
    }
    forms
}

/// RFC 4648 of all whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let groups = bytes.chunks_exact(3);
    let letters = groups.flat_map(|group| {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63])
    });
    letters.collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "secret-0123456789abcdef";
    for text in [
        "Bearer secret-0123456789abcdef",
        "7365637265742d30313233343536373839616263646566",
        "x: [115, 101, 99, 114, 101, 116, 45, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]",
        // Of `user:secret-..`, `a:secret-..` and `secret-..`, by coreutils.
        "dXNlcjpzZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==",
        "YTpzZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==",
        "c2VjcmV0LTAxMjM0NTY3ODlhYmNkZWY=",
    ] {
        let found = in_text("here", text.as_bytes(), secret);
        assert_eq!(found.len(), 1, "{text}");
    }
    let other = in_text("here", b"secret-0123456789abcdee", secret);
    assert!(other.is_empty(), "{other:?}");
    let folder = tempfile::tempdir().unwrap();
    let packed = zstd::encode_all(&b"a\nsecret-0123456789abcdef\n"[..], 1).unwrap();
    fs::write(folder.path().join("1.ndjson.zst"), packed).unwrap();
    assert_eq!(in_log(folder.path(), secret).len(), 1);
}
