//! All processes of one house.

use super::{Algorithm, Used, WORD, bare};
use crate::Failure;
use crate::lines::Led;
use crate::ports::Ports;
use futures::future::try_join_all;

/// An aggregator and its participants, linked.
pub struct Processes {
    aggregator: Led,
    participants: Vec<Led>,
}

/// Rounds of one kind, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Each round's time, in ms.
    pub wall_ms: Vec<f64>,
    /// What the aggregator used, per round.
    pub server: PerRound,
    /// What a participant used on average, per round.
    pub client: PerRound,
}

/// Means over a series: a round is too short for one figure each.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerRound {
    /// Processor time in ms.
    pub processor_ms: f64,
    /// Bytes sent, in kB (1,000 bytes).
    pub sent_kb: f64,
    /// Bytes received, in kB.
    pub received_kb: f64,
}

impl PerRound {
    fn of(used: impl IntoIterator<Item = Used>, rounds: f64) -> Self {
        let mut sum = Self::default();
        let mut processes = 0.0;
        for used in used {
            processes += 1.0;
            sum.processor_ms += used.processor_ms;
            sum.sent_kb += used.sent as f64 / 1e3;
            sum.received_kb += used.received as f64 / 1e3;
        }
        let shares = rounds * f64::max(processes, 1.0);
        Self {
            processor_ms: sum.processor_ms / shares,
            sent_kb: sum.sent_kb / shares,
            received_kb: sum.received_kb / shares,
        }
    }
}

impl Processes {
    /// Starts so many participants and their aggregator, for models of so many parameters.
    pub async fn start(
        participants: usize,
        parameters: usize,
        ports: &mut Ports,
    ) -> Result<Self, Failure> {
        let addresses = (0..=participants).map(|_| ports.free().map(|at| at.to_string()));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?.join(",");
        let start = |number: usize| {
            let words = [
                WORD.to_owned(),
                number.to_string(),
                parameters.to_string(),
                addresses.clone(),
            ];
            async move { Led::start(&words).await }
        };
        // All at once: each is ready when it is linked.
        Ok(Self::of(try_join_all((0..=participants).map(start)).await?))
    }

    /// Starts as many processes that carry bytes and do nothing else.
    pub async fn start_bare(participants: usize, ports: &mut Ports) -> Result<Self, Failure> {
        let address = ports.free()?.to_string();
        let start = |number: usize| {
            let words = [
                bare::WORD.to_owned(),
                number.to_string(),
                participants.to_string(),
                address.clone(),
            ];
            async move { Led::start(&words).await }
        };
        Ok(Self::of(try_join_all((0..=participants).map(start)).await?))
    }

    fn of(mut started: Vec<Led>) -> Self {
        Self {
            aggregator: started.remove(0),
            participants: started,
        }
    }

    /// Runs rounds one after the other, `dropped` participants dropping out of each.
    pub async fn rounds(
        &mut self,
        algorithm: Algorithm,
        dropped: usize,
        count: usize,
    ) -> Result<Series, Failure> {
        let order = format!("round {} {dropped}", algorithm.word());
        self.series(&order, count).await
    }

    /// Of [bare](Self::start_bare) processes: carries as much as a participant received to each, and as much as one sent that
    /// stayed back from so many.
    pub async fn exchanges(
        &mut self,
        like: &Series,
        dropped: usize,
        count: usize,
    ) -> Result<Series, Failure> {
        let participants = self.participants.len();
        let stayed = participants - dropped;
        let back = like.client.sent_kb * participants as f64 / stayed as f64;
        let bytes = |kb: f64| (kb * 1e3).round();
        let (out, back) = (bytes(like.client.received_kb), bytes(back));
        self.series(&format!("exchange {out} {back} {stayed}"), count)
            .await
    }

    async fn series(&mut self, order: &str, count: usize) -> Result<Series, Failure> {
        let before = self.used().await?;
        let mut wall_ms = Vec::new();
        for _ in 0..count {
            let micros: f64 = self.aggregator.order(order).await?.parse()?;
            wall_ms.push(micros / 1e3);
        }
        let after = self.used().await?;
        let mut used = after.iter().zip(before).map(|(now, then)| now.since(then));
        let rounds = count as f64;
        Ok(Series {
            wall_ms,
            server: PerRound::of(used.next(), rounds),
            client: PerRound::of(used, rounds),
        })
    }

    /// By process, the aggregator first.
    async fn used(&mut self) -> Result<Vec<Used>, Failure> {
        let mut used = Vec::new();
        let all = std::iter::once(&mut self.aggregator).chain(&mut self.participants);
        for process in all {
            used.push(Used::parse(&process.order("used").await?)?);
        }
        Ok(used)
    }
}
