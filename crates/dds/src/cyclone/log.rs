//! What Cyclone DDS has to say, told by our log, and never more than can be read: a single stranger's
//! broken datagrams would otherwise bring a line each.
#![expect(
    unsafe_code,
    reason = "binding to the C library; each block says why it is sound"
)]

use super::threads::now;
use crate::lane::lock;
use cyclonedds_rust_sys as c;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Lines told in a span, and the span: enough for the messages of a start that fails.
const LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(10);
/// Of a message; those about datagrams hold the whole of them.
const LENGTH_MAX: usize = 300;

/// How much may still be told.
struct Budget {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

/// Whether to tell.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    /// Yes, and that so many before were left out.
    Tell {
        left_out: u64,
    },
    Not,
}

impl Budget {
    const fn new() -> Self {
        Self {
            since: None,
            told: 0,
            left_out: 0,
        }
    }

    fn ask(&mut self, time: Instant) -> Verdict {
        let over = |since: Instant| time.saturating_duration_since(since) >= SPAN;
        if self.since.is_none_or(over) {
            let left_out = self.left_out;
            *self = Self {
                since: Some(time),
                told: 1,
                left_out: 0,
            };
            return Verdict::Tell { left_out };
        }
        if self.told < LINES {
            self.told += 1;
            return Verdict::Tell { left_out: 0 };
        }
        self.left_out += 1;
        Verdict::Not
    }
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget::new());
static INSTALLED: Once = Once::new();

/// From the first call on Cyclone's messages of the whole process come here.
pub(super) fn install() {
    INSTALLED.call_once(|| {
        // SAFETY: the function is there as long as the process, and takes no notice of its first argument.
        unsafe { c::dds_set_log_sink(Some(sink), ptr::null_mut()) };
    });
}

/// Called by any thread of Cyclone, under the lock of its log: calls nothing of Cyclone.
unsafe extern "C" fn sink(_: *mut c_void, data: *const c::dds_log_data_t) {
    let Verdict::Tell { left_out } = lock(&BUDGET).ask(now()) else {
        return;
    };
    // SAFETY: Cyclone hands over a message that lives for the call.
    let data = unsafe { &*data };
    let length = data.size.min(LENGTH_MAX);
    // SAFETY: the message has `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.message.cast::<u8>(), length) };
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "so many messages of Cyclone DDS before were left out"
        );
    }
    if data.priority & (c::DDS_LC_FATAL | c::DDS_LC_ERROR) != 0 {
        tracing::error!(domain = data.domid, "Cyclone DDS: {text}");
    } else {
        tracing::warn!(domain = data.domid, "Cyclone DDS: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_messages_is_told_in_part_and_counted() {
        let mut budget = Budget::new();
        let start = now();
        let told = (0..1000).filter(|_| budget.ask(start) != Verdict::Not);
        assert_eq!(told.count(), LINES as usize);
        assert_eq!(budget.ask(start + SPAN / 2), Verdict::Not);
        let left_out = 1001 - u64::from(LINES);
        assert_eq!(budget.ask(start + SPAN), Verdict::Tell { left_out });
        assert_eq!(budget.ask(start + SPAN), Verdict::Tell { left_out: 0 });
    }
}
