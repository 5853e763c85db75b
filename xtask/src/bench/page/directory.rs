//! The tables of the directory and the decision cache.

use std::fmt::Write as _;

use super::budgets::short;
use crate::bench::directory::Directories;
use crate::bench::directory::Line;
use crate::bench::import::Imports;

/// Each thing that was measured, at both sizes.
pub(super) fn directory(directory: &Directories) -> String {
    let (small, large) = directory.sizes();
    let mut text = format!(
        "\n## The directory in process\n\nDevices have five attributes and two parents; a thousand users, a thousand groups and a hundred sites \
         come with them, and 104 policies. Each size is a process of its own. The store is on {}. Questions are {} \
         different ones about devices all over the fleet.\n\n\
         | what | unit | {} devices | {} devices | |\n|---|---|---|---|---|\n",
        directory.disk,
        number(4096),
        number(small),
        number(large),
    );
    for Line { name, unit, .. } in of_each_name(&directory.lines) {
        let at = |devices| directory.of(name, devices);
        let shown = |value: Option<f64>| value.map(short).unwrap_or_default();
        let against = match (at(small), at(large)) {
            (Some(few), Some(many)) if is_time(unit) => format!("{} x", short(many / few)),
            _ => String::new(),
        };
        let (few, many) = (shown(at(small)), shown(at(large)));
        writeln!(text, "| {name} | {unit} | {few} | {many} | {against} |").ok();
    }
    text
}

/// A line of each name; the last measured size has them all.
fn of_each_name(lines: &[Line]) -> impl Iterator<Item = &Line> {
    let mut named: Vec<&Line> = Vec::new();
    for line in lines.iter().rev() {
        if !named.iter().any(|known| known.name == line.name) {
            named.push(line);
        }
    }
    named.into_iter().rev()
}

/// What grows with the devices if it does badly; of other units the ratio says nothing.
fn is_time(unit: &str) -> bool {
    ["us", "ms", "s", "MiB"].contains(&unit)
}

/// The three caches while devices change.
pub(super) fn caches(directory: &Directories) -> String {
    let writes = directory.caches.iter().map(|line| line.writes_per_second);
    let slowest = writes.fold(f64::MAX, f64::min);
    let mut text = format!(
        "\n## The decision cache while devices change\n\n100,000 devices in memory and a question about each; a thread changes an attribute of a device drawn evenly, {} times a \
         second at least; one change in ten takes the device from its owner until its next change. Another thread \
         takes each question to three caches in turn, on one view of the directory, so that they see the same \
         questions and the same changes. Of the answers one in 16 is compared with the decision made without a \
         cache: stale are those that differ. All caches have room for all questions.\n\n\
         | questions | cache | hits | mean us | p50 us | p99 us | stale of compared |\n|---|---|---|---|---|---|---|\n",
        number(slowest as u64),
    );
    for line in &directory.caches {
        writeln!(
            text,
            "| {}, {} a second | {} | {} % | {} | {} | {} | {} of {} |",
            line.mix,
            number(line.asked_per_second as u64),
            line.cache,
            short(line.hit_rate * 100.0),
            short(line.mean_us),
            short(line.p50_us),
            short(line.p99_us),
            number(line.stale),
            number(line.sampled),
        )
        .ok();
    }
    text
}

/// Importing and starting.
pub(super) fn import(import: &Imports) -> String {
    let mut text = format!(
        "\n## Importing, and starting with it\n\n`cargo xtask devices --count {}` makes {} entities of the reference schema, which `deodar directory import` writes to a server \
         whose directory is on {}: {} s, {} entities a second, every one durable. The server's resident memory \
         afterwards: {} MiB.\n\n\
         | start after | ready after s | first decision ms | resident memory MiB |\n|---|---|---|---|\n",
        import.devices,
        number(import.entities),
        import.disk,
        short(import.seconds),
        number((import.entities as f64 / import.seconds) as u64),
        short(import.rss_mib),
    );
    for start in &import.starts {
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            start.after,
            short(start.seconds),
            short(start.first_decision_ms),
            short(start.rss_mib),
        )
        .ok();
    }
    text
}

/// `1000000` as people write it: `1,000,000`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [7, 999, 1000, 100_000, 1_234_567].map(number);
        assert_eq!(shown, ["7", "999", "1,000", "100,000", "1,234,567"]);
    }
}
