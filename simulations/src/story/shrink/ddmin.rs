//! Delta debugging: a subset of which no element can be left out.

/// Minimizes `items`; `fails` says whether a subset still fails, and is never asked about the whole.
pub(super) fn minimize<T: Clone, E>(
    mut items: Vec<T>,
    fails: &mut impl FnMut(&[T]) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    // Often none is needed: the seed alone does it.
    if !items.is_empty() && fails(&[])? {
        return Ok(Vec::new());
    }
    let mut parts = 2;
    while items.len() >= 2 {
        let size = items.len().div_ceil(parts);
        let mut smaller = None;
        for start in (0..items.len()).step_by(size) {
            let end = (start + size).min(items.len());
            let part = items[start..end].to_vec();
            if part.len() < items.len() && fails(&part)? {
                smaller = Some((part, 2));
                break;
            }
            let rest = [&items[..start], &items[end..]].concat();
            // With two parts the rest of one is the other.
            if parts > 2 && fails(&rest)? {
                smaller = Some((rest, (parts - 1).max(2)));
                break;
            }
        }
        match smaller {
            Some((kept, next)) => (items, parts) = (kept, next),
            None if parts >= items.len() => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn check(items: u32, needed: &[u32]) -> u32 {
        let mut asked = 0;
        let result = minimize::<_, Infallible>((0..items).collect(), &mut |part| {
            asked += 1;
            assert!(part.len() < items as usize);
            Ok(needed.iter().all(|n| part.contains(n)))
        });
        assert_eq!(result.unwrap(), needed);
        asked
    }

    #[test]
    fn exactly_the_needed_ones_stay() {
        check(8, &[]);
        check(1, &[0]);
        check(2, &[0, 1]);
        check(8, &[3]);
        check(64, &[0, 63]);
        check(64, &[5, 6, 31, 32]);
    }

    #[test]
    fn one_of_many_takes_the_logarithm() {
        assert!(check(64, &[17]) < 20);
    }
}
