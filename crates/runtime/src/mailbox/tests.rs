//! Overload: bursts against a stalled actor.

use super::*;
use crate::shell::{Effects, ShellContext};
use crate::supervisor::{ChildSpec, Intensity, Strategy, Supervisor, SupervisorSpec};
use ractor::ActorProcessingErr;
use std::sync::atomic::{AtomicUsize, Ordering};

const CAPACITY: usize = 16;

/// A letter that is counted as long as it is anywhere.
struct Letter {
    policy: Overload,
    fails: bool,
    alive: Arc<AtomicUsize>,
}

impl Drop for Letter {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Reader;

impl Machine for Reader {
    type Input = Letter;
    type Output = Letter;

    fn handle(&mut self, _: Instant, letter: Letter, out: &mut Vec<Letter>) {
        out.push(letter);
    }

    fn overload(letter: &Letter) -> Overload {
        letter.policy
    }
}

/// Takes one permit a letter: without any it is stalled.
struct Gate(Arc<Semaphore>);

impl Effects<Reader> for Gate {
    async fn perform(
        &mut self,
        _: &ShellContext<Reader>,
        letter: Letter,
    ) -> Result<(), ActorProcessingErr> {
        self.0.acquire().await?.forget();
        if letter.fails {
            return Err("torn".into());
        }
        Ok(())
    }
}

struct House {
    stalled: Address<Letter>,
    gate: Arc<Semaphore>,
    neighbour: Address<Letter>,
    alive: Arc<AtomicUsize>,
    top: Supervisor,
}

impl House {
    async fn new() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let open = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (stalled, neighbour) = (
            Address::of::<Reader>("stalled", CAPACITY),
            Address::of::<Reader>("neighbour", CAPACITY),
        );
        let child = |address: &Address<Letter>, gate: &Arc<Semaphore>| {
            let gate = Arc::clone(gate);
            ChildSpec::machine(address.clone(), move || {
                let gate = Gate(Arc::clone(&gate));
                async move { Ok((Reader, gate)) }
            })
        };
        let children = vec![child(&stalled, &gate), child(&neighbour, &open)];
        let calm = Intensity::new(9, Duration::from_secs(9));
        let spec = SupervisorSpec::new(Strategy::OneForOne, calm, children);
        let top = Supervisor::start(spec, |why| panic!("{why}"))
            .await
            .unwrap();
        Self {
            stalled,
            gate,
            neighbour,
            alive: Arc::new(AtomicUsize::new(0)),
            top,
        }
    }

    fn letter(&self, policy: Overload, fails: bool) -> Letter {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Letter {
            policy,
            fails,
            alive: Arc::clone(&self.alive),
        }
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_against_a_stalled_actor_is_bounded_and_counted_and_nobody_elses_matter() {
    const BURST: usize = 100_000;
    let house = House::new().await;
    let mut most = 0;
    for _ in 0..BURST {
        let shed = house.letter(Overload::Shed, false);
        house.stalled.post(shed).await.unwrap();
        let refuse = house.letter(Overload::Refuse, false);
        // Its sender is told; the counts below say how often.
        let _ = house.stalled.post(refuse).await;
        most = most.max(house.alive());
    }
    assert!(most <= CAPACITY + 1, "{most} letters in memory");
    let status = house.stalled.status();
    assert_eq!((status.depth, status.capacity), (16, 16));
    assert_eq!(
        (status.shed, status.refused),
        ((BURST - 8) as u64, (BURST - 8) as u64)
    );
    assert_eq!(status.delayed, 0);

    // The neighbour is as quick as ever: its mail is worked off without time passing.
    let before = clock::now();
    for _ in 0..1000 {
        let letter = house.letter(Overload::Delay, false);
        house.neighbour.post(letter).await.unwrap();
    }
    while house.neighbour.depth() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(clock::now(), before);
    let neighbour = house.neighbour.status();
    assert_eq!((neighbour.delivered, neighbour.lost), (1000, 0));
    assert_eq!((neighbour.shed, neighbour.refused), (0, 0));

    // Visible, with its age, in the tree.
    tokio::time::sleep(Duration::from_millis(4200)).await;
    let tree = house.top.tree().snapshot();
    let shown = tree[1].mailbox.as_ref().unwrap();
    assert_eq!((shown.depth, shown.oldest_ms), (16, Some(4200)));

    house.gate.add_permits(1000);
    while house.stalled.depth() > 0 {
        tokio::task::yield_now().await;
    }
    let status = house.stalled.status();
    assert_eq!(
        (status.delivered, status.lost, status.oldest_ms),
        (16, 0, None)
    );
    assert_eq!(status.longest_wait_ms, 4200);
    // Nobody waits any more; that the mailbox was full once is still to be seen.
    assert_eq!((status.depth, status.peak), (0, 16));
    assert_eq!(house.alive(), 0);
    house.top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_policy_does_what_it_says_when_there_is_no_room() {
    let house = House::new().await;
    for _ in 0..CAPACITY {
        let letter = house.letter(Overload::Delay, false);
        house.stalled.post(letter).await.unwrap();
    }
    let full = SendError::Full {
        name: "stalled".to_owned(),
        capacity: CAPACITY,
    };
    // (policy, answer, ms waited, (shed, refused, delayed) so far)
    for (policy, answer, waited, counts) in [
        (Overload::Shed, Ok(()), 0, (1, 0, 0)),
        (Overload::Refuse, Err(full.clone()), 0, (1, 1, 0)),
        (Overload::Delay, Err(full), 10_000, (1, 2, 1)),
    ] {
        let before = clock::now();
        let posted = house.stalled.post(house.letter(policy, false)).await;
        assert_eq!(posted, answer, "{policy:?}");
        let took = clock::now().since(before).as_millis();
        assert!(
            (waited..waited + 10).contains(&took),
            "{policy:?}: {took} ms"
        );
        let status = house.stalled.status();
        assert_eq!((status.shed, status.refused, status.delayed), counts);
        assert_eq!(house.alive(), CAPACITY, "{policy:?}");
    }
    // A delayed letter gets the place that becomes free.
    let late = house.stalled.clone();
    let letter = house.letter(Overload::Delay, false);
    let late = tokio::spawn(async move { late.post(letter).await });
    tokio::task::yield_now().await;
    house.gate.add_permits(1);
    late.await.unwrap().unwrap();
    assert_eq!(house.stalled.status().delayed, 2);
    house.top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_die_with_their_actor_are_counted_as_lost_and_their_room_comes_back() {
    let house = House::new().await;
    let fatal = house.letter(Overload::Delay, true);
    house.stalled.post(fatal).await.unwrap();
    for _ in 1..CAPACITY {
        let letter = house.letter(Overload::Delay, false);
        house.stalled.post(letter).await.unwrap();
    }
    house.gate.add_permits(1);
    while house.stalled.depth() > 0 {
        tokio::task::yield_now().await;
    }
    let status = house.stalled.status();
    assert_eq!((status.delivered, status.lost), (1, CAPACITY as u64 - 1));
    assert_eq!((status.refused, house.alive()), (0, 0));

    // The next incarnation takes mail again.
    house.gate.add_permits(1);
    let letter = house.letter(Overload::Delay, false);
    house.stalled.post(letter).await.unwrap();
    while house.stalled.depth() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.stalled.status().delivered, 2);
    assert_eq!(house.top.tree().restarts()["stalled"], 1);
    house.top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn mail_to_nobody_is_shed_refused_or_waits_for_somebody() {
    let address = Address::of::<Reader>("nobody", CAPACITY);
    let alive = Arc::new(AtomicUsize::new(3));
    let letter = |policy| Letter {
        policy,
        fails: false,
        alive: Arc::clone(&alive),
    };
    let down = SendError::Down {
        name: "nobody".to_owned(),
    };
    assert_eq!(address.post(letter(Overload::Shed)).await, Ok(()));
    assert_eq!(
        address.post(letter(Overload::Refuse)).await,
        Err(down.clone())
    );
    assert_eq!(address.post(letter(Overload::Delay)).await, Err(down));
    let status = address.status();
    assert_eq!(
        (status.shed, status.refused, status.delayed, status.lost),
        (1, 2, 1, 0)
    );
    assert_eq!((status.depth, alive.load(Ordering::SeqCst)), (0, 0));
}
