//! The known word that is nearest to a wrong one.
#![deny(unsafe_code)]

/// Longest word that is compared.
const LONGEST: usize = 44;

/// The one of `known` that differs least from `name`, if by no more than two letters.
pub(super) fn nearest<'a>(name: &[u8], known: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let near = known.map(|word| (distance(name, word), word)).min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Insertions, deletions and replacements between two short texts; long ones count as far apart.
#[cold]
#[inline(never)]
fn distance(left: &[u8], right: &[u8]) -> usize {
    if left.len() > LONGEST || right.len() > LONGEST {
        return usize::MAX;
    }
    let mut row = [0; LONGEST + 1];
    for (column, cell) in row.iter_mut().enumerate() {
        *cell = column;
    }
    for (at, byte) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_two_letters_is_found() {
        let known = ["narenas", "thp", "retain"].map(str::as_bytes);
        assert_eq!(nearest(b"arena", known.into_iter()), Some(&b"narenas"[..]));
        assert_eq!(nearest(b"retians", known.into_iter()), None);
        assert_eq!(nearest(&[b'x'; 99], known.into_iter()), None);
        assert_eq!(nearest(b"", core::iter::empty()), None);
    }
}
