//! The one place that draws entropy from the operating system.

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has none to give: no key made after that could be trusted, and
/// there is nothing to fall back to.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    fill(&mut buffer);
    buffer
}

/// Fills `buffer` from the operating system's generator; panics as [`bytes()`] does.
pub fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system provides entropy once it has booted");
}

/// A number below `bound`, for jitter and the like (slightly biased, which jitter forgives);
/// 0 when `bound` is 0.
pub fn below(bound: u64) -> u64 {
    u64::from_le_bytes(bytes()).checked_rem(bound).unwrap_or(0)
}
