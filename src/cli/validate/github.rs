//! Faults as GitHub shows them beside the lines of a change: workflow commands.

use std::fmt::Write as _;
use std::path::Path;

use crate::engine::Fault;

/// A line for a fault of the repository at `root`, which is relative to where the
/// workflow runs.
pub fn annotation(root: &Path, fault: &Fault) -> String {
    let level = if fault.is_warning { "warning" } else { "error" };
    let mut place = format!("file={}", property(&from_here(root, &fault.file)));
    if fault.line > 0 {
        write!(place, ",line={},col={}", fault.line, fault.column).ok();
    }
    let hint = fault.hint.as_ref();
    let hint = hint.map_or_else(String::new, |hint| format!("\n{hint}"));
    let message = data(&format!("{}{hint}", fault.message));
    format!("::{level} {place}::{message}\n")
}

/// A file of the repository at `root` as the working directory sees it.
pub fn from_here(root: &Path, file: &str) -> String {
    let path = root.join(file);
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(here).unwrap_or(&path);
    let path = path.strip_prefix(".").unwrap_or(path);
    path.display().to_string()
}

/// The message of a command: one line.
pub fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a command, which ends at a colon or comma.
pub fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::annotation;
    use crate::engine::Fault;

    #[test]
    fn nothing_of_a_file_ends_the_command() {
        let text = "a: b".into();
        let fault = Fault::at("odd,name:1.cedar", &text, (3, 1).into(), "100 %\nbad");
        assert_eq!(
            annotation(Path::new("."), &fault.with_hint("see\r\nbelow")),
            "::error file=odd%2Cname%3A1.cedar,line=1,col=4::100 %25%0Abad%0Asee%0D%0Abelow\n"
        );
        let fault = Fault::of_file("a.cedar", "bad").as_warning();
        assert_eq!(
            annotation(Path::new("policies"), &fault),
            "::warning file=policies/a.cedar::bad\n"
        );
    }
}
