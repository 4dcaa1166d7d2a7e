//! What people call a model.

use wire::{Digest, Round};

/// Fewest hexadecimal digits that name a model: fewer are easily those of two.
const MIN_DIGITS: usize = 8;

/// The model of that name: the number of the round that made it, or the first digits of its digest. `made` has
/// the rounds in their order; `bases` are models that some started from, of whatever round.
pub fn resolve(
    name: &str,
    made: &[(Round, Digest)],
    bases: impl IntoIterator<Item = Digest>,
) -> Result<(Round, Digest), String> {
    if let Some(found) = made.iter().find(|(round, _)| name.parse() == Ok(round.0)) {
        return Ok(*found);
    }
    let mut known: Vec<Digest> = made.iter().map(|(_, model)| *model).chain(bases).collect();
    known.sort();
    known.dedup();
    let digits = name.len() >= MIN_DIGITS && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let wanted = name.to_ascii_lowercase();
    let mut matching = known
        .into_iter()
        .filter(|model| digits && model.to_string().starts_with(&wanted));
    match (matching.next(), matching.next()) {
        (Some(model), None) => {
            let maker = made.iter().rev().find(|(_, of)| *of == model);
            Ok((maker.map_or(Round(0), |(round, _)| *round), model))
        }
        (Some(_), Some(_)) => Err(format!("two models begin with {name}; give more digits")),
        (None, _) => Err(format!(
            "`{name}` is neither one of the last {} rounds that made a model nor the first {MIN_DIGITS} or more digits of \
             such a model; `glasshouse models list` shows them",
            ledger::MAX_HISTORY
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_name_of_its_round_or_of_its_first_digits() {
        let made = [1, 2].map(|round: u8| (Round(round.into()), Digest([round; 32])));
        let resolve = |name: &str| resolve(name, &made, [Digest([0; 32]), Digest([1; 32])]);
        let two = (Round(2), Digest([2; 32]));
        assert_eq!(resolve("2"), Ok(two));
        assert_eq!(resolve("02020202"), Ok(two));
        assert_eq!(resolve("00000000"), Ok((Round(0), Digest([0; 32]))));
        for wrong in ["3", "0202", "zz", "ffffffff", "-1", ""] {
            let why = resolve(wrong).unwrap_err();
            assert!(why.contains("models list"), "{wrong}: {why}");
        }
    }
}
