//! A simulated mainframe: card transactions of some CICS regions, as the EBCDIC records that
//! `deploy/copybooks/transaction.cpy` describes. Deterministic: a seed and the time are arguments.

use std::time::Duration;
use telemetry::copybook::{Copybook, CopybookError, Decimal, FieldError, Value};
use telemetry::ebcdic::CodePage;
use wire::UnixMillis;

/// The copybook that the records follow.
pub const COPYBOOK: &str = include_str!("../../../deploy/copybooks/transaction.cpy");
/// The code page they are in.
pub const CODE_PAGE: CodePage = CodePage::Cp037;
/// Response code of an approved transaction.
pub const APPROVED: &str = "00";

/// Transactions that one call makes at most, whatever span of time is asked for.
const MAX_BATCH: usize = 100_000;
/// Response codes of refused transactions (ISO 8583: do not honour, insufficient funds, issuer
/// inoperative, system malfunction).
const REFUSALS: [&str; 4] = ["05", "51", "91", "96"];
/// Transaction types with their share in percent.
const KINDS: [(&str, u64); 3] = [("PURC", 80), ("WDRL", 15), ("REFD", 5)];

/// One card transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// When.
    pub time: UnixMillis,
    /// Running number, up to 12 digits.
    pub id: u64,
    /// Type, 4 characters.
    pub kind: String,
    /// CICS region, up to 8 characters.
    pub region: String,
    /// Terminal, up to 4 characters.
    pub terminal: String,
    /// Masked account number, up to 16 characters.
    pub account: String,
    /// In cents; negative for refunds.
    pub amount_cents: i64,
    /// In cents.
    pub balance_cents: i64,
    /// Response code, 2 characters.
    pub response: String,
    /// Milliseconds from request to response.
    pub elapsed_ms: u32,
}

/// Turns transactions into records.
#[derive(Clone, Debug)]
pub struct Encoder {
    copybook: Copybook,
}

impl Encoder {
    /// For [`COPYBOOK`].
    pub fn new() -> Result<Self, CopybookError> {
        Ok(Self {
            copybook: Copybook::parse(COPYBOOK)?,
        })
    }

    /// One fixed-length record.
    pub fn encode(&self, transaction: &Transaction) -> Result<Vec<u8>, FieldError> {
        let text = |text: &str| Value::Text(text.to_owned());
        let number = |mantissa: i128, scale| Value::Number(Decimal::new(mantissa, scale));
        // What a program would report of its steps: connect, authorise, answer.
        let step = i128::from(transaction.elapsed_ms / 3).min(9_999);
        let values = [
            text(&db2_timestamp(transaction.time)),
            number(i128::from(transaction.id), 0),
            text(&transaction.kind),
            text(&transaction.region),
            text(&transaction.terminal),
            text(&transaction.account),
            number(i128::from(transaction.amount_cents), 2),
            text("EUR"),
            number(i128::from(transaction.balance_cents), 2),
            text(&transaction.response),
            number(i128::from(transaction.elapsed_ms), 0),
            number(step, 0),
            number(step, 0),
            number(step, 0),
        ];
        self.copybook.encode(CODE_PAGE, &values)
    }
}

/// Something that goes wrong in a region for a while.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// The region.
    pub region: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// From this event time on.
    pub from: UnixMillis,
    /// Until before this one.
    pub until: UnixMillis,
}

/// Kinds of faults.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FaultKind {
    /// Everything takes so many times as long.
    LatencySurge(f64),
    /// This share (0 to 1) of transactions is refused.
    ErrorSurge(f64),
    /// Amounts are so many times as large.
    AmountAnomaly(f64),
}

/// How the mainframe behaves.
#[derive(Clone, PartialEq, Debug)]
pub struct MainframeConfig {
    /// Regions.
    pub regions: Vec<String>,
    /// Transactions per second of each region, on the average of a day.
    pub rate: f64,
    /// Length of a "day": the rate swings by half around its mean once in it. Short for a demo.
    pub day: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// Faults to come.
    pub faults: Vec<Fault>,
}

impl Default for MainframeConfig {
    fn default() -> Self {
        Self {
            regions: ["CICSPRD1", "CICSPRD2", "CICSATM1"]
                .map(str::to_owned)
                .to_vec(),
            rate: 20.0,
            day: Duration::from_secs(300),
            seed: 1,
            faults: Vec::new(),
        }
    }
}

/// An endless stream of transactions.
#[derive(Clone, Debug)]
pub struct Mainframe {
    config: MainframeConfig,
    random: Random,
    next_id: u64,
    /// Per region: the fraction of a transaction that is due.
    due: Vec<f64>,
}

impl Mainframe {
    /// Same configuration, same transactions for the same calls.
    pub fn new(config: MainframeConfig) -> Self {
        let due = vec![0.0; config.regions.len()];
        let random = Random(config.seed);
        Self {
            config,
            random,
            next_id: 1,
            due,
        }
    }

    /// One more fault.
    pub fn inject(&mut self, fault: Fault) {
        self.config.faults.push(fault);
    }

    /// The transactions from one moment until before another, in order of time, at most 100,000.
    pub fn between(&mut self, from: UnixMillis, until: UnixMillis) -> Vec<Transaction> {
        let span = until.0.saturating_sub(from.0);
        let mut transactions = Vec::new();
        for region in 0..self.config.regions.len() {
            self.due[region] += self.config.rate * self.swing(from) * span as f64 / 1000.0
                * (0.8 + 0.4 * self.random.unit());
            let count =
                (self.due[region].floor().max(0.0) as usize).min(MAX_BATCH / self.due.len());
            self.due[region] = self.due[region].fract();
            for _ in 0..count {
                let time = UnixMillis(from.0 + self.random.below(span.max(1)));
                let transaction = self.transaction(region, time);
                transactions.push(transaction);
            }
        }
        transactions.sort_by_key(|transaction| transaction.time);
        for transaction in &mut transactions {
            transaction.id = self.next_id;
            self.next_id += 1;
        }
        transactions
    }

    /// Between a half and one and a half.
    fn swing(&self, time: UnixMillis) -> f64 {
        let day = self.config.day.as_millis().max(1) as f64;
        1.0 + 0.5 * (time.0 as f64 / day * std::f64::consts::TAU).sin()
    }

    fn transaction(&mut self, region: usize, time: UnixMillis) -> Transaction {
        let name = self.config.regions[region].clone();
        let (mut latency, mut errors, mut amounts) = (1.0, 0.01, 1.0);
        for fault in self
            .config
            .faults
            .iter()
            .filter(|fault| fault.region == name && (fault.from..fault.until).contains(&time))
        {
            match fault.kind {
                FaultKind::LatencySurge(factor) => latency *= factor,
                FaultKind::ErrorSurge(share) => errors = f64::max(errors, share),
                FaultKind::AmountAnomaly(factor) => amounts *= factor,
            }
        }
        let mut share = self.random.below(100);
        let kind = KINDS.iter().find(|(_, percent)| {
            let hit = share < *percent;
            share = share.saturating_sub(*percent);
            hit
        });
        let kind = kind.map_or(KINDS[0].0, |(kind, _)| kind);
        let refused = self.random.unit() < errors;
        // Sums of uniforms: a hump with bounded tails is all that a window's mean and quantile need.
        let hump = (0..4).map(|_| self.random.unit()).sum::<f64>() / 4.0;
        let cents = (2_500.0 + 15_000.0 * hump * hump) * amounts;
        let elapsed =
            (20.0 + 80.0 * self.random.unit() * hump + 10.0 * self.random.unit()) * latency;
        let sign = if kind == "REFD" { -1 } else { 1 };
        Transaction {
            time,
            id: 0,
            kind: kind.to_owned(),
            region: name,
            terminal: format!("T{:03}", self.random.below(200)),
            account: format!("4000********{:04}", self.random.below(10_000)),
            amount_cents: sign * cents.min(99_999_999_999.0) as i64,
            balance_cents: self.random.below(500_000) as i64 - 50_000,
            response: if refused {
                REFUSALS[self.random.below(REFUSALS.len() as u64) as usize]
            } else {
                APPROVED
            }
            .to_owned(),
            elapsed_ms: elapsed.min(999_999_999.0) as u32,
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for gear, the same everywhere.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 0 to below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// `2026-03-01-12.00.00.500000`.
fn db2_timestamp(time: UnixMillis) -> String {
    let (seconds, millis) = (time.0 / 1000, time.0 % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}.{minute:02}.{second:02}.{millis:03}000")
}

/// Days since 1970 → year, month, day (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (
        era * 400 + year_of_era + u64::from(month <= 2),
        month,
        of_year - (153 * shifted + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests;
