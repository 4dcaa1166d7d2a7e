use super::*;
use crate::Row;
use std::sync::mpsc::channel;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn shape() -> Shape {
    Shape {
        hidden: vec![8],
        ..Shape::default()
    }
}

fn rows(count: usize) -> Vec<Series> {
    let rows =
        (0..count).map(|i| Row::dense(&[(i as f32 * 0.37).sin(), (i as f32 * 0.37).cos(), 0.5]));
    vec![rows.collect::<Vec<Row>>().into()]
}

/// A reply and where its result arrives.
fn reply<T: Send + 'static>() -> (Reply<T>, Receiver<Result<T, Error>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| drop(sender.send(result))), receiver)
}

fn initial() -> Vec<f32> {
    Model::initial(shape(), 1).unwrap().parameters()
}

#[test]
fn jobs_run_in_order_and_answer() {
    let learner = Learner::start(shape()).unwrap();
    let (early, early_result) = reply();
    learner.residuals(rows(3), early).unwrap();
    assert_eq!(
        early_result.recv_timeout(PATIENCE).unwrap(),
        Err(Error::NoModel)
    );

    let (set, set_result) = reply();
    learner.set_model(initial(), None, None, set).unwrap();
    let (score, score_result) = reply();
    learner.residuals(rows(3), score).unwrap();
    let (train, train_result) = reply();
    learner
        .train(initial(), rows(50), TrainConfig::default(), None, train)
        .unwrap();

    assert_eq!(
        set_result.recv_timeout(PATIENCE).unwrap(),
        Ok(Verdict::InUse)
    );
    let expected = Model::initial(shape(), 1)
        .unwrap()
        .residuals(&rows(3))
        .unwrap();
    assert_eq!(
        score_result.recv_timeout(PATIENCE).unwrap().unwrap(),
        expected
    );
    let trained = train_result.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(trained.examples, 50);
    let after = Model::initial(shape(), 1).unwrap().moved(&trained).unwrap();
    let before = trained.loss_before;
    assert!(after.loss(&rows(50)).unwrap() < before);
}

#[test]
fn a_refused_model_leaves_the_former_one() {
    let learner = Learner::start(shape()).unwrap();
    for parameters in [initial(), vec![0.0; 3]] {
        let (set, result) = reply();
        let count = parameters.len();
        learner.set_model(parameters, None, None, set).unwrap();
        let expected = if count == 3 {
            Err(Error::ParameterCount {
                expected: shape().parameter_count(),
                found: 3,
            })
        } else {
            Ok(Verdict::InUse)
        };
        assert_eq!(result.recv_timeout(PATIENCE).unwrap(), expected);
    }
    let (score, result) = reply();
    learner.residuals(rows(1), score).unwrap();
    assert!(result.recv_timeout(PATIENCE).unwrap().is_ok());
}

/// Holds the learner's thread inside a reply until the returned sender is dropped.
fn hold(learner: &Learner) -> (std::sync::mpsc::Sender<()>, Receiver<()>) {
    let (release, released) = channel::<()>();
    let (entered, inside) = channel();
    let block = Box::new(move |_: Result<Verdict, Error>| {
        entered.send(()).unwrap();
        let _ = released.recv();
    });
    learner.set_model(initial(), None, None, block).unwrap();
    (release, inside)
}

#[test]
fn a_full_queue_refuses() {
    let learner = Learner::start(shape()).unwrap();
    let (release, inside) = hold(&learner);
    inside.recv_timeout(PATIENCE).unwrap();
    for _ in 0..QUEUE {
        learner.residuals(rows(1), reply().0).unwrap();
    }
    assert_eq!(
        learner.residuals(rows(1), reply().0),
        Err(Error::Busy { queued: QUEUE })
    );
    drop(release);
}

#[test]
fn a_panicking_reply_ends_neither_thread_nor_queue() {
    let learner = Learner::start(shape()).unwrap();
    learner
        .set_model(
            initial(),
            None,
            None,
            Box::new(|_| panic!("a caller's mistake")),
        )
        .unwrap();
    let (score, result) = reply();
    learner.residuals(rows(1), score).unwrap();
    assert!(result.recv_timeout(PATIENCE).unwrap().is_ok());
}

#[test]
fn a_panic_inside_a_job_becomes_its_error() {
    let worker = Worker {
        shape: shape(),
        shared: None,
        scoring: None,
        stop: Arc::default(),
    };
    // Shapes that libtorch refuses: tch panics with libtorch's own message.
    let refused = worker.guarded(|_| {
        let product =
            tch::Tensor::from_slice(&[1f32, 2.0]).matmul(&tch::Tensor::from_slice(&[1f32]));
        Ok(product.numel())
    });
    let Err(Error::Panicked(text)) = refused else {
        panic!("expected an error, got {refused:?}")
    };
    assert!(text.contains("size"), "{text}");
}

#[test]
fn dropping_stops_a_long_training_and_answers_what_waits() {
    let learner = Learner::start(shape()).unwrap();
    let (release, inside) = hold(&learner);
    inside.recv_timeout(PATIENCE).unwrap();
    let endless = TrainConfig {
        epochs: crate::MAX_EPOCHS,
        batch: 1,
        ..TrainConfig::default()
    };
    let (train, trained) = reply();
    learner
        .train(initial(), rows(5_000), endless, None, train)
        .unwrap();
    let (score, scored) = reply();
    learner.residuals(rows(1), score).unwrap();
    drop(release);
    drop(learner); // returns only after the thread has ended
    assert_eq!(trained.try_recv().unwrap(), Err(Error::Stopped));
    assert_eq!(scored.try_recv().unwrap(), Err(Error::Stopped));
}

#[test]
fn inline_every_job_is_answered_before_its_call_returns_and_by_the_same_numbers() {
    let here = Arc::new(Learner::inline(shape()).unwrap());
    let there = Learner::start(shape()).unwrap();
    let (early, early_result) = reply();
    here.residuals(rows(3), early).unwrap();
    assert_eq!(early_result.try_recv().unwrap(), Err(Error::NoModel));

    let mut trained = Vec::new();
    for learner in [&*here, &there] {
        let (set, set_result) = reply();
        learner.set_model(initial(), None, None, set).unwrap();
        let (train, train_result) = reply();
        learner
            .train(initial(), rows(50), TrainConfig::default(), None, train)
            .unwrap();
        assert_eq!(
            set_result.recv_timeout(PATIENCE).unwrap(),
            Ok(Verdict::InUse)
        );
        trained.push(train_result.recv_timeout(PATIENCE).unwrap().unwrap().delta);
    }
    assert_eq!(trained[0], trained[1]);

    // A reply that hands over the next job: a lock held over it would never come free.
    let (score, score_result) = reply();
    let again = Arc::clone(&here);
    let chained = Box::new(move |_| again.residuals(rows(2), score).unwrap());
    here.set_model(initial(), None, None, chained).unwrap();
    assert_eq!(score_result.try_recv().unwrap().unwrap().len(), 2);

    here.set_model(
        initial(),
        None,
        None,
        Box::new(|_| panic!("a caller's mistake")),
    )
    .unwrap();
    let (score, score_result) = reply();
    here.residuals(rows(1), score).unwrap();
    assert!(score_result.try_recv().unwrap().is_ok());
}

#[test]
fn a_model_that_explains_normal_rows_worse_is_not_put_to_use() {
    let here = Learner::inline(shape()).unwrap();
    let trained = Model::initial(shape(), 1)
        .unwrap()
        .train(
            &rows(200),
            TrainConfig {
                epochs: 60,
                learning_rate: 1e-2,
                ..TrainConfig::default()
            },
        )
        .unwrap();
    let moved: Vec<f32> = initial()
        .iter()
        .zip(&trained.delta)
        .map(|(p, d)| p + d)
        .collect();
    let trial = || {
        Some(Trial {
            rows: rows(100),
            worst_ratio: 2.0,
        })
    };
    let set = |parameters: Vec<f32>, trial: Option<Trial>| {
        let (reply, result) = reply();
        here.set_model(parameters, trial, None, reply).unwrap();
        result.try_recv().unwrap().unwrap()
    };
    // The first one is better than none.
    assert_eq!(set(initial(), trial()), Verdict::InUse);
    assert_eq!(set(moved.clone(), trial()), Verdict::InUse);
    let worse = set(initial(), trial());
    assert!(
        matches!(worse, Verdict::Worse { former, tried } if tried > 2.0 * former),
        "{worse:?}"
    );
    let (scored, result) = reply();
    here.residuals(rows(3), scored).unwrap();
    let in_use = Model::with_parameters(shape(), &moved).unwrap();
    assert_eq!(
        result.try_recv().unwrap().unwrap(),
        in_use.residuals(&rows(3)).unwrap()
    );
    // Who insists is not tried.
    assert_eq!(set(initial(), None), Verdict::InUse);
}

/// What a node makes of the shared model is used where it explains that node's rows better, and the next model
/// is tried against the shared one.
#[test]
fn a_tuned_model_is_used_where_it_is_better() {
    let here = Learner::inline(shape()).unwrap();
    let tuning = |rows_of_here: Vec<Series>| {
        Some(Tuning {
            rows: rows_of_here,
            config: TrainConfig {
                epochs: 30,
                learning_rate: 1e-2,
                ..TrainConfig::default()
            },
            judged_by: rows(50),
        })
    };
    let set = |trial: Option<Trial>, tuning: Option<Tuning>| {
        let (reply, result) = reply();
        here.set_model(initial(), trial, tuning, reply).unwrap();
        result.try_recv().unwrap().unwrap()
    };
    let residuals = || {
        let (scored, result) = reply();
        here.residuals(rows(3), scored).unwrap();
        result.try_recv().unwrap().unwrap()
    };
    let shared = Model::initial(shape(), 1).unwrap();
    let tuned = set(None, tuning(rows(200)));
    assert!(
        matches!(tuned, Verdict::Tuned { shared, tuned } if tuned < 0.5 * shared),
        "{tuned:?}"
    );
    assert_ne!(residuals(), shared.residuals(&rows(3)).unwrap());
    // The same shared model again stands a trial that its tuned form would have made hard.
    let strict = Trial {
        rows: rows(100),
        worst_ratio: 1.0,
    };
    assert_eq!(set(Some(strict), None), Verdict::InUse);
    assert_eq!(residuals(), shared.residuals(&rows(3)).unwrap());
    // A tuning that makes it worse, or fails, leaves the shared one.
    let others = vec![vec![Row::dense(&[-8.0, 8.0, -8.0]); 200].into()];
    assert_eq!(set(None, tuning(others)), Verdict::InUse);
    let nothing = Tuning {
        rows: Vec::new(),
        config: TrainConfig::default(),
        judged_by: rows(5),
    };
    assert_eq!(set(None, Some(nothing)), Verdict::InUse);
    assert_eq!(residuals(), shared.residuals(&rows(3)).unwrap());
}
