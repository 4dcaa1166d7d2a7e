mod dynamic;
mod otp;

use super::*;
use crate::service::{ServiceError, StopSignal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use wire::status::{ActorState, StrategyName};

const CALM: Intensity = Intensity::new(3, Duration::from_secs(5));

/// Children that write down when they start and stop, and end on command.
#[derive(Clone)]
struct Stage {
    diary: Arc<Mutex<Vec<String>>>,
    orders: broadcast::Sender<(&'static str, &'static str)>,
}

impl Stage {
    fn new() -> Self {
        Self {
            diary: Arc::default(),
            orders: broadcast::Sender::new(16),
        }
    }

    fn note(&self, line: String) {
        self.diary.lock().unwrap().push(line);
    }

    fn diary(&self) -> String {
        std::mem::take(&mut *self.diary.lock().unwrap()).join(" ")
    }

    fn child(&self, name: &'static str) -> ChildSpec {
        let stage = self.clone();
        ChildSpec::service(name, move || {
            let stage = stage.clone();
            let mut orders = stage.orders.subscribe();
            stage.note(format!("+{name}"));
            async move {
                Ok(move |mut stop: StopSignal| async move {
                    let order = loop {
                        tokio::select! {
                            () = stop.stopped() => break "stop",
                            order = orders.recv() => match order? {
                                (to, order) if to == name => break order,
                                _ => {}
                            },
                        }
                    };
                    match order {
                        "stop" | "end" => {
                            stage.note(format!("-{name}"));
                            Ok(())
                        }
                        "panic" => panic!("on command"),
                        why => Err(ServiceError::from(why)),
                    }
                })
            }
        })
    }

    /// Gives an order and waits until the tree has come to rest again.
    async fn order(&self, to: &'static str, order: &'static str) {
        self.orders.send((to, order)).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await; // virtual: the clock is paused
    }
}

async fn top(spec: SupervisorSpec) -> (Supervisor, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let supervisor = Supervisor::start(spec, move |why| tell.send(why).unwrap())
        .await
        .unwrap();
    (supervisor, told)
}

#[tokio::test(start_paused = true)]
async fn strategies_restart_types_and_order_hold_for_real_actors() {
    let table = [
        (Strategy::OneForOne, Restart::Permanent, "fail", "+b"),
        (Strategy::OneForOne, Restart::Permanent, "panic", "+b"),
        (Strategy::OneForOne, Restart::Permanent, "end", "-b +b"),
        (Strategy::OneForOne, Restart::Transient, "end", "-b"),
        (Strategy::OneForOne, Restart::Transient, "panic", "+b"),
        (Strategy::OneForOne, Restart::Temporary, "fail", ""),
        (
            Strategy::OneForAll,
            Restart::Permanent,
            "fail",
            "-c -a +a +b +c",
        ),
        (Strategy::RestForOne, Restart::Permanent, "fail", "-c +b +c"),
    ];
    for (strategy, restart, order, expected) in table {
        let stage = Stage::new();
        let children = vec![
            stage.child("a"),
            stage.child("b").restart(restart),
            stage.child("c"),
        ];
        let (supervisor, _told) = top(SupervisorSpec::new(strategy, CALM, children)).await;
        assert_eq!(stage.diary(), "+a +b +c");
        stage.order("b", order).await;
        let story = stage.diary();
        assert_eq!(story, expected, "{strategy:?} {restart:?} {order}");
        supervisor.stop().await;
        let last = if expected.ends_with('b') && !expected.contains('+') || expected.is_empty() {
            "-c -a"
        } else {
            "-c -b -a"
        };
        assert_eq!(stage.diary(), last, "{strategy:?} {restart:?} {order}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_escalate_from_supervisor_to_supervisor_to_the_process() {
    let stage = Stage::new();
    let strict = Intensity::new(1, Duration::from_secs(60));
    let inner = SupervisorSpec::new(
        Strategy::OneForOne,
        strict,
        vec![stage.child("x"), stage.child("y")],
    );
    let outer = vec![stage.child("a"), ChildSpec::supervisor("inner", inner)];
    let (supervisor, mut told) = top(SupervisorSpec::new(Strategy::OneForOne, strict, outer)).await;
    assert_eq!(stage.diary(), "+a +x +y");
    stage.order("x", "fail").await; // inner restarts x
    assert_eq!(stage.diary(), "+x");
    stage.order("x", "fail").await; // inner gives up; outer restarts it
    assert_eq!(stage.diary(), "-y +x +y");
    let restarts = supervisor.tree().restarts();
    assert_eq!(
        (restarts["inner"], restarts["inner/x"], restarts["a"]),
        (1, 2, 0)
    );
    assert!(told.try_recv().is_err());
    stage.order("x", "fail").await;
    stage.order("x", "fail").await; // inner gives up for the second time, and now outer does
    assert_eq!(stage.diary(), "+x -y -a");
    let why = told.recv().await.unwrap();
    assert!(
        why.contains("inner had to be restarted more often than 1 times within 60s"),
        "{why}"
    );
    assert!(
        supervisor
            .tree()
            .snapshot()
            .iter()
            .all(|actor| actor.state == ActorState::Stopped)
    );
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_start_stops_those_before_it_and_fails_the_start() {
    let stage = Stage::new();
    let broken = ChildSpec::service("broken", || async {
        Err::<fn(StopSignal) -> std::future::Ready<Result<(), ServiceError>>, ServiceError>(
            "no disk".into(),
        )
    });
    let spec = SupervisorSpec::new(
        Strategy::OneForOne,
        CALM,
        vec![stage.child("a"), broken, stage.child("c")],
    );
    let error = Supervisor::start(spec, |_| ())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("broken could not be started"), "{error}");
    assert_eq!(stage.diary(), "+a -a");
}

/// SUP shutdown: `brutal_kill`, a time-out, `infinity`.
#[tokio::test(start_paused = true)]
async fn a_child_is_stopped_as_its_specification_says() {
    struct OnDrop(Arc<AtomicU32>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let limit = Shutdown::Within(Duration::from_millis(700));
    let hour = 3_600_000;
    // (how, ms the child takes once it is told, ms it is given at least and at most, its end)
    for (shutdown, takes, given, why) in [
        (Shutdown::BrutalKill, 0, 0..100, "killed by its supervisor"),
        (limit, 300, 300..400, "stopped by its supervisor"),
        (
            limit,
            hour,
            700..1700,
            "did not stop within 700ms; killed by its supervisor",
        ),
        (
            Shutdown::Infinity,
            hour,
            hour..hour + 100,
            "stopped by its supervisor",
        ),
    ] {
        let dropped = Arc::new(AtomicU32::new(0));
        let told = Arc::new(AtomicU32::new(0));
        let slow = {
            let (dropped, told) = (Arc::clone(&dropped), Arc::clone(&told));
            ChildSpec::service("slow", move || {
                let (guard, told) = (OnDrop(Arc::clone(&dropped)), Arc::clone(&told));
                async move {
                    Ok(move |mut stop: StopSignal| async move {
                        let _guard = guard;
                        stop.stopped().await;
                        told.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(takes)).await;
                        Ok(())
                    })
                }
            })
            .shutdown(shutdown)
        };
        let spec = SupervisorSpec::new(Strategy::OneForOne, CALM, vec![slow]);
        let (supervisor, _told) = top(spec).await;
        otp::settle().await;
        let before = clock::now();
        supervisor.stop().await;
        let took = u64::try_from(clock::now().since(before).as_millis()).unwrap();
        assert!(given.contains(&took), "{shutdown:?}: {took} ms");
        otp::settle().await;
        let ends = dropped.load(Ordering::SeqCst);
        assert_eq!(ends, 1, "the service outlived its actor");
        let was_told = told.load(Ordering::SeqCst) == 1;
        assert_eq!(was_told, shutdown != Shutdown::BrutalKill, "{shutdown:?}");
        let slow = supervisor.tree().snapshot().remove(1);
        assert_eq!(slow.last_exit.as_deref(), Some(why));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tree_tells_who_runs_since_when_and_why_not() {
    let stage = Stage::new();
    let strict = Intensity::new(2, Duration::from_secs(10));
    let inner = SupervisorSpec::new(
        Strategy::RestForOne,
        strict,
        vec![stage.child("x"), stage.child("y")],
    );
    let children = vec![
        stage.child("z"),
        ChildSpec::supervisor("inner", inner),
        stage.child("a").restart(Restart::Temporary),
    ];
    let (supervisor, _told) = top(SupervisorSpec::new(Strategy::OneForOne, CALM, children)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.order("x", "fail").await;
    stage.order("a", "end").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let tree = supervisor.tree().snapshot();
    let seen: Vec<_> = tree
        .iter()
        .map(|actor| {
            let seconds = actor.since_ms.unwrap() / 1000;
            let exit = actor.last_exit.as_deref().unwrap_or("-");
            let (path, restarts) = (actor.path.as_str(), actor.restarts);
            (path, actor.state, restarts, seconds, exit)
        })
        .collect();
    let (running, stopped) = (ActorState::Running, ActorState::Stopped);
    assert_eq!(
        seen,
        [
            ("", running, 0, 65, "-"),
            ("z", running, 0, 65, "-"),
            ("inner", running, 0, 65, "-"),
            ("inner/x", running, 1, 5, "failed: fail"),
            ("inner/y", running, 1, 5, "stopped by its supervisor"),
            ("a", stopped, 0, 65, "ended normally"),
        ]
    );
    let inner = tree[2].supervisor.as_ref().unwrap();
    assert_eq!(inner.strategy, StrategyName::RestForOne);
    assert_eq!(
        (inner.intensity, inner.period_ms, inner.used),
        (2, 10_000, 1)
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = |tree: Vec<wire::status::ActorStatus>| tree[2].supervisor.as_ref().unwrap().used;
    assert_eq!(
        used(supervisor.tree().snapshot()),
        0,
        "the window has passed"
    );
    supervisor.stop().await;
}
