//! The machine's table of OTP's rules, against real actors. No virtual time passes but what a
//! row asks for.

#[path = "../../../../machine/src/supervision/otp/rows.rs"]
mod rows;

use super::super::*;
use ractor::concurrency::Duration;
use rows::{Event, Row, rows};
use std::sync::Mutex;

/// Everything that is ready has run after so many turns of the one thread: a restart of a
/// handful of actors takes some dozens.
const TURNS: usize = 500;

pub(super) async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Stage {
    story: Mutex<Vec<String>>,
    cells: Mutex<BTreeMap<usize, ActorRef<Leave>>>,
    broken: Mutex<BTreeMap<usize, u32>>,
}

impl Stage {
    fn note(&self, sign: char, child: usize) {
        self.story.lock().unwrap().push(format!("{sign}{child}"));
    }

    fn child(self: &Arc<Self>, number: usize, kid: rows::Kid) -> ChildSpec {
        let stage = Arc::clone(self);
        let spec = ChildSpec::actor(format!("c{number}"), move |supervisor| {
            let stage = Arc::clone(&stage);
            async move {
                let puppet = Puppet(Arc::clone(&stage), number);
                let (actor, _) = Actor::spawn_linked(None, puppet, (), supervisor).await?;
                let cell = actor.get_cell();
                stage.cells.lock().unwrap().insert(number, actor);
                Ok(cell)
            }
        })
        .restart(match kid.restart {
            "perm" => Restart::Permanent,
            "tran" => Restart::Transient,
            "temp" => Restart::Temporary,
            other => panic!("{other}"),
        });
        if kid.significant {
            spec.significant()
        } else {
            spec
        }
    }
}

/// Ends with the reason that it is told.
struct Puppet(Arc<Stage>, usize);

#[derive(Clone, Copy)]
struct Leave(&'static str);

impl Message for Leave {}

impl Actor for Puppet {
    type Msg = Leave;
    /// Whether it ends of its own accord.
    type State = bool;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Leave>, (): ()) -> Result<bool, ActorProcessingErr> {
        let Self(stage, number) = self;
        if let Some(times @ 1..) = stage.broken.lock().unwrap().get_mut(number) {
            *times -= 1;
            stage.note('?', *number);
            return Err("broken".into());
        }
        stage.note('+', *number);
        Ok(false)
    }

    async fn handle(
        &self,
        myself: ActorRef<Leave>,
        Leave(reason): Leave,
        leaves: &mut bool,
    ) -> Result<(), ActorProcessingErr> {
        *leaves = true;
        match reason {
            "normal" => myself.stop(None),
            "shutdown" => myself.stop(Some(reason.to_owned())),
            "shutdown:term" => return Err(ShutdownReason("term".to_owned()).into()),
            "fail" => return Err("failed".into()),
            "killed" => myself.kill(),
            other => panic!("{other}"),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Leave>,
        leaves: &mut bool,
    ) -> Result<(), ActorProcessingErr> {
        if !*leaves {
            self.0.note('-', self.1);
        }
        Ok(())
    }
}

fn spec_of(row: &Row, stage: &Arc<Stage>) -> SupervisorSpec {
    let strategy = match row.strategy {
        "one_for_one" => Strategy::OneForOne,
        "one_for_all" => Strategy::OneForAll,
        "rest_for_one" => Strategy::RestForOne,
        other => panic!("{other}"),
    };
    let intensity = row
        .intensity
        .map(|(restarts, period)| Intensity::new(restarts, period))
        .unwrap_or_default();
    let kids = row.children.iter().enumerate();
    let children = kids
        .map(|(number, kid)| stage.child(number, *kid))
        .collect();
    SupervisorSpec::new(strategy, intensity, children).auto_shutdown(match row.auto_shutdown {
        "never" => AutoShutdown::Never,
        "any_significant" => AutoShutdown::AnySignificant,
        "all_significant" => AutoShutdown::AllSignificant,
        other => panic!("{other}"),
    })
}

async fn play(row: &Row) -> Vec<String> {
    let stage = Arc::new(Stage::default());
    let ended = Arc::new(Mutex::new(false));
    let mut now = tokio::time::Instant::now();
    let (mut told, mut supervisor) = (vec![], None);
    for event in &row.events {
        let mut by_itself = false;
        match event {
            Event::Broken(child, times) => {
                stage.broken.lock().unwrap().insert(*child, *times);
                continue;
            }
            Event::Wait(time) => {
                now += *time;
                tokio::time::sleep_until(now).await;
                continue;
            }
            Event::Start => {
                let heard = Arc::clone(&ended);
                let on_end = move |_| *heard.lock().unwrap() = true;
                supervisor = Supervisor::start(spec_of(row, &stage), on_end).await.ok();
                by_itself = supervisor.is_none();
            }
            Event::Exit(child, reason) => {
                let cell = stage.cells.lock().unwrap()[child].clone();
                cell.cast(Leave(reason)).unwrap();
            }
            Event::Stop => {
                supervisor.as_ref().unwrap().stop().await;
                stage.story.lock().unwrap().push(".".to_owned());
            }
        }
        settle().await;
        let mut story = std::mem::take(&mut *stage.story.lock().unwrap());
        if std::mem::take(&mut *ended.lock().unwrap()) || by_itself {
            story.push("!".to_owned());
        }
        told.push(story.join(" "));
    }
    if let Some(supervisor) = supervisor {
        supervisor.stop().await;
        let tree = supervisor.tree().snapshot();
        let left: Vec<_> = tree
            .iter()
            .filter(|actor| actor.state != wire::status::ActorState::Stopped)
            .collect();
        assert!(left.is_empty(), "{}: left behind: {left:?}", row.rule);
    }
    told
}

#[tokio::test(start_paused = true)]
async fn every_row_of_otps_table_holds_for_real_actors() {
    for row in rows() {
        assert_eq!(play(&row).await, row.story, "{}", row.rule);
    }
}

/// SUP Restart intensity and period: "The termination reason for the supervisor itself in that
/// case will be shutdown", and that is a normal end for its own supervisor.
#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_ends_with_the_reason_shutdown() {
    let never = Intensity::new(0, Duration::from_secs(5));
    for (restart, restarts, exit) in [
        (Restart::Permanent, 1, None),
        (Restart::Transient, 0, Some(())),
        (Restart::Temporary, 0, Some(())),
    ] {
        let stage = Arc::new(Stage::default());
        let kid = rows::Kid {
            restart: "perm",
            significant: false,
        };
        let inner = SupervisorSpec::new(Strategy::OneForOne, never, vec![stage.child(0, kid)]);
        let inner = ChildSpec::supervisor("inner", inner).restart(restart);
        let spec = SupervisorSpec::new(Strategy::OneForOne, Intensity::default(), vec![inner]);
        let top = Supervisor::start(spec, |why| panic!("{why}"))
            .await
            .unwrap();
        let cell = stage.cells.lock().unwrap()[&0].clone();
        cell.cast(Leave("fail")).unwrap();
        settle().await;
        let tree = top.tree().snapshot();
        let inner = tree.iter().find(|actor| actor.path == "inner").unwrap();
        assert_eq!(inner.restarts, restarts, "{restart:?}");
        let why = inner.last_exit.clone().unwrap();
        assert_eq!(
            why,
            "shutdown: supervisor inner ends: c0 had to be restarted more often than 0 times within 5s"
        );
        let stopped = inner.state == wire::status::ActorState::Stopped;
        assert_eq!(stopped.then_some(()), exit, "{restart:?}");
        top.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_child_cannot_be_restarted_can_still_be_stopped() {
    let stage = Arc::new(Stage::default());
    let kid = rows::Kid {
        restart: "perm",
        significant: false,
    };
    // Far more than are made before the stop is heard.
    let patient = Intensity::new(10_000, Duration::from_secs(1));
    let spec = SupervisorSpec::new(Strategy::OneForOne, patient, vec![stage.child(0, kid)]);
    let top = Supervisor::start(spec, |why| panic!("{why}"))
        .await
        .unwrap();
    stage.broken.lock().unwrap().insert(0, u32::MAX);
    let cell = stage.cells.lock().unwrap()[&0].clone();
    cell.cast(Leave("fail")).unwrap();
    while stage.story.lock().unwrap().len() < 10 {
        tokio::task::yield_now().await;
    }
    let state = top.tree().snapshot()[1].state;
    assert_eq!(state, wire::status::ActorState::Restarting);
    top.stop().await;
}
