//! Numbers that look random and follow from a seed: for choices that everybody may know, such as
//! who is asked in a round. Noise that hides something comes from elsewhere (`privacy::noise`).

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below 1, at least 0, in steps of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`, which is not 0. By multiplication; its bias of `bound` in 2⁶⁴ shows nowhere.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(all: &mut [T], random: &mut SplitMix) {
    for at in (1..all.len()).rev() {
        all.swap(at, random.below(at + 1));
    }
}

#[cfg(test)]
impl SplitMix {
    /// Nearly normal, mean 0, variance 1: the sum of twelve uniforms. Only sums, so that tests give
    /// equal bits on every machine.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    pub(crate) fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }
}
