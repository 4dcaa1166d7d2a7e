//! A participant that deals wrongly: it knows the keys of one, and does the protocol's steps by itself.

use super::cohort::{Cohort, letters, name, seed};
use crate::secagg::keys::RoundKeys;
use crate::secagg::shares::{self, Pair, commitment};
use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use wire::secure::{DealtShare, Secret, SecureStep};
use zeroize::Zeroizing;

/// The round's keys of participant `n`, drawn as it draws them.
fn keys_of(cohort: &Cohort, n: usize) -> RoundKeys {
    let mut rng = ChaCha20Rng::from_seed(*seed(n, cohort.context.round()));
    let mut draw = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    RoundKeys::new(draw(), draw())
}

fn sealed(cohort: &Cohort, dealer: usize, holder: usize, pair: &Pair, dealt: &mut DealtShare) {
    let SecureStep::Advertise(theirs) = cohort.clients[holder].advertise().unwrap().step else {
        panic!("no keys")
    };
    let (from, to) = (dealer as u16, holder as u16);
    let keys = keys_of(cohort, dealer);
    let shared = keys.agree(&cohort.context, to, &theirs.sealing).unwrap();
    let sealing = shared.sealing_key(&cohort.context, from, to);
    let everybody = cohort.context.everybody();
    dealt.sealed = shares::seal(&sealing, &everybody, pair, dealt.seed, dealt.key);
}

/// A share of `dealer` for `holder` that opens, and is another one than was committed to.
pub(super) fn resealed(cohort: &Cohort, dealer: usize, holder: usize) -> DealtShare {
    let pair = Pair {
        seed: Zeroizing::new([1; 32]),
        key: Zeroizing::new([2; 32]),
    };
    let (from, to) = (dealer as u16, holder as u16);
    let commit = |secret, share| commitment(&cohort.context, from, to, secret, share);
    let mut dealt = DealtShare {
        place: from,
        seed: commit(Secret::Seed, &pair.seed),
        key: commit(Secret::Key, &[3; 32]),
        sealed: Vec::new(),
    };
    sealed(cohort, dealer, holder, &pair, &mut dealt);
    dealt
}

/// All participants deal; `liar` deals shares that match their commitments and are shares of nothing.
pub(super) fn deals_shares_of_nothing(cohort: &mut Cohort, liar: usize) {
    for (n, letter) in letters(cohort) {
        let mut answer = cohort.clients[n].hear(letter).unwrap().unwrap();
        if let (true, SecureStep::Shares(deal)) = (n == liar, &mut answer.step) {
            for dealt in &mut deal.shares {
                let pair = Pair {
                    seed: Zeroizing::new([dealt.place as u8; 32]),
                    key: Zeroizing::new([dealt.place as u8 ^ 0x55; 32]),
                };
                let commit = |of: Secret| {
                    commitment(&cohort.context, liar as u16, dealt.place, of, pair.of(of))
                };
                (dealt.seed, dealt.key) = (commit(Secret::Seed), commit(Secret::Key));
                if usize::from(dealt.place) != liar {
                    let holder = usize::from(dealt.place);
                    let mut changed = dealt.clone();
                    sealed(cohort, liar, holder, &pair, &mut changed);
                    *dealt = changed;
                }
            }
        }
        cohort.server.hear(&name(n), answer).unwrap();
    }
}
