use super::*;
use crate::mailbox::SendError;
use machine::supervision::Refusal;

const PEERS: usize = 3;

async fn started(stage: &Stage, intensity: Intensity) -> (DynamicSupervisor, Supervisor) {
    let peers = DynamicSupervisor::new("peers", PEERS, intensity);
    let children = vec![
        stage.child("before"),
        ChildSpec::dynamic_supervisor(&peers),
        stage.child("after"),
    ];
    let spec = SupervisorSpec::new(Strategy::RestForOne, CALM, children);
    let top = Supervisor::start(spec, |why| panic!("{why}"))
        .await
        .unwrap();
    assert_eq!(stage.diary(), "+before +after");
    (peers, top)
}

fn paths(top: &Supervisor) -> Vec<String> {
    let tree = top.tree().snapshot();
    let paths = tree.into_iter().map(|actor| actor.path);
    paths.filter(|path| path.starts_with("peers/")).collect()
}

#[tokio::test(start_paused = true)]
async fn children_come_and_go_within_the_limit() {
    let stage = Stage::new();
    let (peers, top) = started(&stage, CALM).await;
    for name in ["a", "b", "c"] {
        peers.start_child(stage.child(name)).await.unwrap();
    }
    let full = Refusal::Full {
        child: "d".to_owned(),
        limit: PEERS,
    };
    assert_eq!(
        peers.start_child(stage.child("d")).await,
        Err(StartChildError::Refused(full))
    );
    assert_eq!(stage.diary(), "+a +b +c");
    assert_eq!(paths(&top), ["peers/a", "peers/b", "peers/c"]);
    peers.terminate_child("b").await.unwrap();
    assert_eq!(stage.diary(), "-b");
    let error = peers.terminate_child("b").await.unwrap_err();
    assert_eq!(error.to_string(), "peers has no child b");
    peers
        .start_child(stage.child("d").restart(Restart::Transient))
        .await
        .unwrap();
    stage.order("a", "fail").await;
    stage.order("d", "end").await;
    assert_eq!(stage.diary(), "+d +a -d");
    assert_eq!(paths(&top), ["peers/a", "peers/c"]);
    assert_eq!(top.tree().restarts()["peers/a"], 1);
    top.stop().await;
    assert_eq!(stage.diary(), "-after -a -c -before");
    assert!(matches!(
        peers.start_child(stage.child("e")).await,
        Err(StartChildError::Unreachable(SendError::Down { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_fails_is_told_and_not_tried_again() {
    let stage = Stage::new();
    let (peers, top) = started(&stage, CALM).await;
    let broken = ChildSpec::service("broken", || async {
        Err::<fn(StopSignal) -> std::future::Ready<Result<(), ServiceError>>, ServiceError>(
            "no route".into(),
        )
    });
    let error = peers.start_child(broken).await.unwrap_err().to_string();
    assert!(
        error.starts_with("broken could not be started: ") && error.contains("no route"),
        "{error}"
    );
    assert_eq!(paths(&top), Vec::<String>::new());
    top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_end_it_and_its_handle_outlives_it() {
    let stage = Stage::new();
    let once = Intensity::new(1, Duration::from_secs(60));
    let (peers, top) = started(&stage, once).await;
    peers.start_child(stage.child("a")).await.unwrap();
    peers.start_child(stage.child("b")).await.unwrap();
    stage.order("a", "panic").await;
    stage.order("b", "fail").await;
    // Rest for one: whoever starts the children stands behind it, is restarted, starts them anew.
    assert_eq!(stage.diary(), "+a +b +a -a -after +after");
    assert_eq!(paths(&top), Vec::<String>::new());
    peers.start_child(stage.child("b")).await.unwrap();
    assert_eq!(paths(&top), ["peers/b"]);
    let tree = top.tree().snapshot();
    let peers = tree.iter().find(|actor| actor.path == "peers").unwrap();
    assert_eq!(
        peers.last_exit.as_deref(),
        Some(
            "shutdown: supervisor peers ends: b had to be restarted more often than 1 times within 60s"
        )
    );
    top.stop().await;
}

#[tokio::test(start_paused = true)]
async fn children_are_stopped_at_once_and_not_one_after_the_other() {
    let stage = Stage::new();
    let (peers, top) = started(&stage, CALM).await;
    for name in ["x", "y", "z"] {
        let deaf = ChildSpec::service(name, || async {
            Ok(|_stop: StopSignal| std::future::pending::<Result<(), ServiceError>>())
        });
        let deaf = deaf.stop_within(Duration::from_secs(2));
        peers.start_child(deaf).await.unwrap();
    }
    let before = clock::now();
    top.stop().await;
    let took = clock::now().since(before).as_millis();
    assert!((2000..3000).contains(&took), "{took} ms");
}
