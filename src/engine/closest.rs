//! What was meant by a name with a slip of the pen.

/// The one of `known` that was most likely meant.
pub fn closest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    known
        .map(|name| (distance(&written, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// How many letters have to be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        let mut next = vec![last];
        for (above, right) in row.iter().skip(1).zip(b.chars()) {
            last = (diagonal + usize::from(left != right))
                .min(above + 1)
                .min(last + 1);
            diagonal = *above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::closest;
    use super::distance;

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
        let names = || ["depth_max", "values_max", "grpc"].into_iter();
        assert_eq!(closest("dept_max", names()), Some("depth_max"));
        assert_eq!(closest("GRCP", names()), Some("grpc"));
        assert_eq!(closest("GRPC", names()), Some("grpc"));
        assert_eq!(closest("colour", names()), None);
    }
}
