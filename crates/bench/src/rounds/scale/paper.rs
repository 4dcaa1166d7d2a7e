//! K. Bonawitz et al., *Practical Secure Aggregation for Privacy-Preserving Machine Learning*, CCS 2017: the running times of
//! its evaluation. Java on one thread of a Xeon E5-1650 v3 (3.5 GHz), 100,000 entries of 16 bits, no network, all clients
//! neighbours of all, the variant against an honest-but-curious server.

use super::Case;

/// In ms: keys, shares, masking, unmasking, all.
pub(super) type Times = [f64; 5];

/// One row of its table.
pub(super) struct Row {
    clients: usize,
    percent: usize,
    pub(super) client: Times,
    pub(super) server: Times,
}

/// Entries of its vectors.
const ENTRIES: usize = 100_000;

const CLIENT_OF_500: Times = [1.0, 154.0, 694.0, 1.0, 849.0];
const CLIENT_OF_1000: Times = [1.0, 336.0, 1_357.0, 5.0, 1_699.0];

const ROWS: [Row; 5] = [
    row(500, 0, CLIENT_OF_500, [1.0, 26.0, 723.0, 1_268.0, 2_018.0]),
    row(
        500,
        10,
        CLIENT_OF_500,
        [1.0, 29.0, 623.0, 61_586.0, 62_239.0],
    ),
    row(
        500,
        30,
        CLIENT_OF_500,
        [1.0, 28.0, 514.0, 142_847.0, 143_389.0],
    ),
    row(
        1_000,
        0,
        CLIENT_OF_1000,
        [6.0, 148.0, 1_481.0, 3_253.0, 4_887.0],
    ),
    row(
        1_000,
        10,
        CLIENT_OF_1000,
        [6.0, 143.0, 1_406.0, 179_320.0, 180_875.0],
    ),
];

const fn row(clients: usize, percent: usize, client: Times, server: Times) -> Row {
    Row {
        clients,
        percent,
        client,
        server,
    }
}

impl Row {
    /// The paper's for a round of the same size, if it has one.
    pub(super) fn of(case: Case) -> Option<&'static Self> {
        ROWS.iter().find(|row| {
            (row.clients, ENTRIES, row.percent) == (case.clients, case.entries, case.percent)
        })
    }

    /// Masks of a client: one with each other, and its own.
    pub(super) fn masks(&self) -> usize {
        self.clients
    }
}
