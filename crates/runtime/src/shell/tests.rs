use super::*;
use crate::supervisor::{ChildSpec, Intensity, Strategy, Supervisor, SupervisorSpec};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Adds numbers; says each sum twice (persist, send), reports silence after five seconds, fails on 13.
#[derive(Default)]
struct Adder {
    sum: u64,
    last: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Persist(u64),
    Send(u64),
    Silence,
    Fail,
}

const SILENCE: Duration = Duration::from_secs(5);

impl Machine for Adder {
    type Input = u64;
    type Output = Said;

    fn handle(&mut self, now: Instant, input: u64, out: &mut Vec<Said>) {
        if input == 13 {
            return out.extend([Said::Fail, Said::Send(13)]);
        }
        self.last = Some(now);
        self.sum += input;
        out.extend([Said::Persist(self.sum), Said::Send(self.sum)]);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Said>) {
        if self.last.is_some_and(|last| now.since(last) >= SILENCE) {
            self.last = None;
            out.push(Said::Silence);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.last.map(|last| last + SILENCE)
    }
}

struct Bench {
    said: mpsc::UnboundedSender<Said>,
    disk: Arc<Mutex<u64>>,
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

impl Effects<Adder> for Bench {
    async fn perform(
        &mut self,
        _: &ShellContext<Adder>,
        said: Said,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(gate) = &self.gate {
            gate.acquire().await?.forget();
        }
        match &said {
            Said::Persist(sum) => *self.disk.lock().unwrap() = *sum,
            Said::Fail => return Err("thirteen".into()),
            Said::Send(_) | Said::Silence => {}
        }
        self.said.send(said)?;
        Ok(())
    }
}

async fn start(
    capacity: usize,
    gate: Option<Arc<tokio::sync::Semaphore>>,
) -> (Address<u64>, mpsc::UnboundedReceiver<Said>, Supervisor) {
    let address = Address::new("adder", capacity);
    let (said, heard) = mpsc::unbounded_channel();
    let disk = Arc::new(Mutex::new(0));
    let child = ChildSpec::machine(address.clone(), move || {
        let (said, disk, gate) = (said.clone(), Arc::clone(&disk), gate.clone());
        async move {
            let sum = *disk.lock().unwrap();
            Ok((Adder { sum, last: None }, Bench { said, disk, gate }))
        }
    });
    let spec = SupervisorSpec::new(
        Strategy::OneForOne,
        Intensity::new(3, Duration::from_secs(5)),
        vec![child],
    );
    let top = Supervisor::start(spec, |why| panic!("{why}"))
        .await
        .unwrap();
    (address, heard, top)
}

#[tokio::test(start_paused = true)]
async fn outputs_come_in_order_and_the_timer_fires_once_at_the_latest_deadline() {
    let (address, mut heard, top) = start(8, None).await;
    address.send(2).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    address.send(3).await.unwrap();
    for expected in [
        Said::Persist(2),
        Said::Send(2),
        Said::Persist(5),
        Said::Send(5),
    ] {
        assert_eq!(heard.recv().await, Some(expected));
    }
    let before = clock::now();
    assert_eq!(heard.recv().await, Some(Said::Silence));
    let waited = clock::now().since(before).as_millis();
    assert!((4990..=5010).contains(&waited), "{waited} ms");
    tokio::time::sleep(SILENCE * 3).await;
    assert!(heard.try_recv().is_err(), "a timer fired twice");
    top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_survives_its_actor_and_recovery_is_the_factorys() {
    let (address, mut heard, top) = start(8, None).await;
    address.send(40).await.unwrap();
    address.send(13).await.unwrap();
    assert_eq!(heard.recv().await, Some(Said::Persist(40)));
    assert_eq!(heard.recv().await, Some(Said::Send(40)));
    // Waits for the next incarnation, or is lost with the failing one: then it is sent again.
    let mut answer = None;
    while answer.is_none() {
        address.send(2).await.unwrap();
        answer = tokio::time::timeout(Duration::from_secs(1), heard.recv())
            .await
            .ok()
            .flatten();
    }
    assert_eq!(
        answer,
        Some(Said::Persist(42)),
        "not recovered, or an output performed after the failure"
    );
    assert_eq!(top.tree().restarts()["adder"], 1);
    top.stop().await;
    let gone = crate::mailbox::SendError::Down {
        name: "adder".to_owned(),
    };
    assert_eq!(address.try_send(1), Err(gone.clone()));
    assert_eq!(address.send(1).await, Err(gone));
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_sheds_or_delays_and_says_so() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (address, mut heard, top) = start(3, Some(Arc::clone(&gate))).await;
    for _ in 0..3 {
        address.try_send(1).unwrap();
    }
    let full = crate::mailbox::SendError::Full {
        name: "adder".to_owned(),
        capacity: 3,
    };
    assert_eq!(address.try_send(1), Err(full.clone()));
    let status = address.status();
    assert_eq!((status.depth, status.refused), (3, 1));
    assert_eq!(address.send(1).await, Err(full), "patience has an end");
    let delayed = tokio::spawn({
        let address = address.clone();
        async move { address.send(10).await }
    });
    gate.add_permits(1000);
    delayed.await.unwrap().unwrap();
    let mut last = None;
    while last != Some(Said::Send(13)) {
        last = heard.recv().await;
    }
    top.stop().await;
    assert_eq!(
        address.depth(),
        0,
        "permits come back when mail is handled or dies"
    );
}
