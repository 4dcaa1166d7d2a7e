//! Compares alerts with the data set's labels, without point adjustment: an alert is right when
//! it was raised within a labelled segment (or within the grace after its end, since a score is a
//! mean over the last rows), and a segment is found when at least one alert was raised in it.

use serde::Serialize;

/// A labelled segment of one device in wall-clock milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) device: String,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// How alerts and labels agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Agreement {
    /// Labelled segments that were mailed.
    pub(crate) segments: usize,
    /// Of those, with at least one alert.
    pub(crate) found: usize,
    /// Anomaly alerts raised.
    pub(crate) alerts: usize,
    /// Of those, within a labelled segment.
    pub(crate) right: usize,
}

/// `alerts` are (device, raised-at in ms).
pub(crate) fn compare(segments: &[Segment], alerts: &[(String, u64)], grace_ms: u64) -> Agreement {
    let hits = |segment: &Segment, (device, at): &(String, u64)| {
        *device == segment.device
            && (segment.from_ms..=segment.to_ms.saturating_add(grace_ms)).contains(at)
    };
    Agreement {
        segments: segments.len(),
        found: segments
            .iter()
            .filter(|segment| alerts.iter().any(|alert| hits(segment, alert)))
            .count(),
        alerts: alerts.len(),
        right: alerts
            .iter()
            .filter(|alert| segments.iter().any(|segment| hits(segment, alert)))
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_count_for_their_own_device_and_time_only() {
        let segment = |device: &str, from_ms, to_ms| Segment {
            device: device.into(),
            from_ms,
            to_ms,
        };
        let segments = [
            segment("a", 100, 200),
            segment("a", 500, 600),
            segment("b", 100, 200),
        ];
        let alert = |device: &str, at| (device.to_owned(), at);
        let table = [
            (vec![], (0, 0)),
            (vec![alert("a", 150)], (1, 1)),
            (vec![alert("a", 150), alert("a", 180)], (1, 2)),
            (vec![alert("b", 550)], (0, 0)),
            (vec![alert("a", 220), alert("a", 260)], (1, 1)),
            (
                vec![alert("a", 99), alert("b", 100), alert("a", 600)],
                (2, 2),
            ),
        ];
        for (alerts, (found, right)) in table {
            let got = compare(&segments, &alerts, 30);
            let expected = Agreement {
                segments: 3,
                found,
                alerts: alerts.len(),
                right,
            };
            assert_eq!(got, expected, "{alerts:?}");
        }
    }
}
