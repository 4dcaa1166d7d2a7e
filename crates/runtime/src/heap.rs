//! What the C library does with memory that was given back to it: of glibc, whose allocator everything in a process
//! uses, libtorch included.
//!
//! By itself it maps buffers above 128 KiB from the kernel and unmaps them when they are freed, or cuts the end of its heap off. A
//! model of a million parameters passes through some ten buffers of 4 to 8 MB in a round, each of which the
//! kernel then clears page by page anew: a fourth of a round's processor time
//! (docs/decisions/0034-large-buffers-stay-in-the-process.md).

/// Buffers below this come from the heap, where the next one of their size finds them: more than the largest frame takes. It is
/// also the most that glibc allows.
const LARGEST_KEPT: usize = 32 << 20;

/// Free memory at a heap's end that stays there: the buffers of two secure rounds' worth of the largest frames.
/// What is free beyond goes back to the kernel, so a node that was busy once does not keep its peak.
const KEPT: usize = 64 << 20;

const _: () = assert!(LARGEST_KEPT > wire::codec::MAX_ENCODED);

/// To be called once, before other threads are started. Without glibc there is nothing to set.
pub fn keep_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, LARGEST_KEPT),
        (libc::M_TRIM_THRESHOLD, KEPT),
    ] {
        let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
        #[expect(unsafe_code, reason = "mallopt(3) takes two integers")]
        // SAFETY: it takes the allocator's lock and sets a number.
        let taken = unsafe { libc::mallopt(parameter, value) };
        if taken == 0 {
            tracing::warn!("the C library does not take {value} for {parameter} of mallopt(3)");
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[expect(clippy::unwrap_used, reason = "a test's helper")]
    /// Pages that the kernel has had to bring to this thread so far (proc(5), field 10).
    fn faults() -> usize {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn a_buffer_that_was_freed_is_there_for_the_next() {
        const BUFFER: usize = 8 << 20;
        const TIMES: usize = 20;
        const PAGE: usize = 4096;
        keep_large_buffers();
        let fill = |byte: u8| std::hint::black_box(vec![byte; BUFFER]).len();
        fill(1);
        let before = faults();
        for byte in 2..2 + TIMES as u8 {
            fill(byte);
        }
        let faults = faults() - before;
        // Without it, all pages come anew each time.
        assert!(faults < BUFFER / PAGE, "{faults} pages for {TIMES} buffers");
    }
}
