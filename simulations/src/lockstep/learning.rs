//! What is drawn of how a run's rounds go: the same for all of its processes, and for the rules that watch them.

use crate::machines::rng::Dice;

/// A round that closes at once is followed by the next after so long.
pub const PAUSE_MS: u64 = 4_000;
/// A slow training takes so much longer or shorter than it takes updates to get too old.
const ABOUT_MS: u64 = 5_000;

/// Rounds that take updates as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Updates behind one model.
    pub size: usize,
    /// Models that an update may be behind.
    pub max_staleness: usize,
    /// How long the last node trains, in milliseconds. The others take no time.
    pub slow_ms: u64,
}

fn dice(seed: u64) -> Dice {
    Dice::new(seed ^ 0x6c65_6172_6e69_6e67)
}

/// Of a run with so many nodes.
pub fn buffering(seed: u64, nodes: usize) -> Buffering {
    let mut dice = dice(seed);
    let max_staleness = 1 + dice.index(2);
    let old_ms = PAUSE_MS * (1 + max_staleness as u64);
    Buffering {
        // All but the slow one at most.
        size: 2 + dice.index(nodes.saturating_sub(2).max(1)),
        max_staleness,
        slow_ms: old_ms - ABOUT_MS + dice.below(2 * ABOUT_MS),
    }
}

/// ηₗ of a run with control variates.
pub fn local_rate(seed: u64) -> f64 {
    [0.02, 0.05, 0.1][dice(seed).index(3)]
}
