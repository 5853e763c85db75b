//! A strict reader of lcov tracefiles, by geninfo(1): sums have to be right, and
//! everything is in its place.

use std::collections::BTreeMap;

/// One file of a tracefile.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) file: String,
    /// By name: the line, and how often it was called.
    pub(super) functions: BTreeMap<String, (usize, usize)>,
    /// Line, block, branch, and how often it was taken.
    pub(super) branches: Vec<(usize, usize, usize, Option<usize>)>,
    pub(super) lines: BTreeMap<usize, usize>,
}

/// All records, or the first line that is not as it should be.
pub(super) fn parse(text: &str) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let mut open: Option<Record> = None;
    let mut sums: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let bad = || format!("`{line}` is not as it should be");
        if line == "end_of_record" {
            let record = open.take().ok_or_else(bad)?;
            check(&record, &std::mem::take(&mut sums))?;
            records.push(record);
            continue;
        }
        let (key, rest) = line.split_once(':').ok_or_else(bad)?;
        match (key, open.as_mut()) {
            ("TN", None) => {}
            ("SF", None) if !rest.is_empty() && !rest.starts_with('/') => {
                open = Some(Record {
                    file: rest.to_owned(),
                    ..Record::default()
                });
            }
            ("FN", Some(record)) => {
                let (line, name) = rest.split_once(',').ok_or_else(bad)?;
                let line = line.parse().map_err(|_| bad())?;
                let before = record.functions.insert(name.to_owned(), (line, 0));
                before.is_none().then_some(()).ok_or_else(bad)?;
            }
            ("FNDA", Some(record)) => {
                let (count, name) = rest.split_once(',').ok_or_else(bad)?;
                let function = record.functions.get_mut(name).ok_or_else(bad)?;
                function.1 = count.parse().map_err(|_| bad())?;
            }
            ("BRDA", Some(record)) => {
                let parts: Vec<&str> = rest.split(',').collect();
                let [line, block, branch, taken] = parts[..] else {
                    return Err(bad());
                };
                let number = |text: &str| text.parse::<usize>().map_err(|_| bad());
                let taken = if taken == "-" {
                    None
                } else {
                    Some(number(taken)?)
                };
                record
                    .branches
                    .push((number(line)?, number(block)?, number(branch)?, taken));
            }
            ("DA", Some(record)) => {
                let (line, count) = rest.split_once(',').ok_or_else(bad)?;
                let line: usize = line.parse().map_err(|_| bad())?;
                let count = count.parse().map_err(|_| bad())?;
                if line == 0 || record.lines.insert(line, count).is_some() {
                    return Err(bad());
                }
            }
            ("FNF" | "FNH" | "BRF" | "BRH" | "LF" | "LH", Some(_)) => {
                let sum = rest.parse().map_err(|_| bad())?;
                let before = sums.insert(key.to_owned(), sum);
                before.is_none().then_some(()).ok_or_else(bad)?;
            }
            _ => return Err(bad()),
        }
    }
    match open {
        Some(record) => Err(format!("`{}` does not end", record.file)),
        None if records.is_empty() => Err("there is nothing".to_owned()),
        None => Ok(records),
    }
}

fn check(record: &Record, sums: &BTreeMap<String, usize>) -> Result<(), String> {
    let called = record.functions.values().filter(|function| function.1 > 0);
    let taken = record.branches.iter();
    let taken = taken.filter(|branch| branch.3.is_some_and(|count| count > 0));
    let hit = record.lines.values().filter(|count| **count > 0);
    let wanted = [
        ("FNF", record.functions.len()),
        ("FNH", called.count()),
        ("BRF", record.branches.len()),
        ("BRH", taken.count()),
        ("LF", record.lines.len()),
        ("LH", hit.count()),
    ];
    for (key, wanted) in wanted {
        if sums.get(key) != Some(&wanted) {
            return Err(format!("{key} is {:?}, not {wanted}", sums.get(key)));
        }
    }
    Ok(())
}
