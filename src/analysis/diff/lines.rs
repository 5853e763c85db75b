//! Two texts, line by line.

use serde::Serialize;

/// Longer texts are not compared: all of the one is gone, all of the other is new.
const LINES_MAX: usize = 600;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is in both.
    Kept,
    /// It is in the first only.
    Gone,
    /// It is in the second only.
    New,
}

impl Fate {
    /// As in a unified diff.
    pub fn sign(self) -> char {
        match self {
            Self::Kept => ' ',
            Self::Gone => '-',
            Self::New => '+',
        }
    }
}

/// The lines of both, each once where they are the same.
pub fn compare<'a>(before: &'a str, after: &'a str) -> Vec<(Fate, &'a str)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old.len().max(new.len()) > LINES_MAX {
        let gone = old.into_iter().map(|line| (Fate::Gone, line));
        return gone
            .chain(new.into_iter().map(|line| (Fate::New, line)))
            .collect();
    }
    // The longest run of lines in common from each pair of places on.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in old.iter().enumerate().rev() {
        for (j, two) in new.iter().enumerate().rev() {
            let best = if one == two {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = best;
            }
        }
    }
    let (mut lines, mut i, mut j) = (Vec::new(), 0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(two)) if one == two => {
                lines.push((Fate::Kept, *one));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), two) if two.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                lines.push((Fate::Gone, *one));
                i += 1;
            }
            (_, Some(two)) => {
                lines.push((Fate::New, *two));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Fate;
    use super::compare;

    proptest! {
        /// Both texts are there, and no shorter difference.
        #[test]
        fn both_texts_can_be_read_from_it(
            before in prop::collection::vec("[abc]", 0..8),
            after in prop::collection::vec("[abc]", 0..8),
        ) {
            let (old, new) = (before.join("\n"), after.join("\n"));
            let lines = compare(&old, &new);
            let side = |gone: Fate| -> Vec<&str> {
                let lines = lines.iter().filter(|(fate, _)| *fate != gone);
                lines.map(|(_, line)| *line).collect()
            };
            prop_assert_eq!(side(Fate::New), before.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(side(Fate::Gone), after.iter().map(String::as_str).collect::<Vec<_>>());
            if before == after {
                prop_assert!(lines.iter().all(|(fate, _)| *fate == Fate::Kept));
            }
        }
    }

    #[test]
    fn what_is_the_same_is_kept() {
        let told: String = compare("a\nb\nc", "a\nx\nc")
            .iter()
            .map(|(fate, _)| fate.sign())
            .collect();
        assert_eq!(told, " -+ ");
    }
}
