use super::*;
use proptest::prelude::*;

const EXPECTATION: Expectation = Expectation {
    heartbeat: Duration::from_millis(100),
    window: 128,
    min_deviation: Duration::from_millis(50),
    acceptable_pause: Duration::from_millis(1_000),
};

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A detector that heard heartbeats at these times, in milliseconds.
fn fed(expectation: Expectation, beats: impl IntoIterator<Item = u64>) -> (PhiAccrual, u64) {
    let mut detector = PhiAccrual::new(expectation, at(0));
    let mut last = 0;
    for beat in beats {
        detector.heartbeat(at(beat));
        last = beat;
    }
    (detector, last)
}

/// Milliseconds of silence until φ reaches 8.
fn noticed(detector: &PhiAccrual, last: u64) -> u64 {
    (0..60_000)
        .find(|silence| detector.phi(at(last + silence)) >= 8.0)
        .unwrap()
}

#[test]
fn phi_is_the_tail_of_the_normal_distribution() {
    // Deviations past the mean → −log10 of the upper tail (tables of the normal distribution).
    let table = [
        (0.0, std::f64::consts::LOG10_2),
        (1.0, 0.79955),
        (2.0, 1.64302),
        (3.0, 2.86969),
        (-1.0, 0.07503),
    ];
    let plain = Expectation {
        min_deviation: Duration::from_millis(100),
        acceptable_pause: Duration::ZERO,
        heartbeat: Duration::from_secs(1),
        window: 10,
    };
    let (detector, last) = fed(plain, (1..30).map(|beat| beat * 1_000));
    for (deviations, phi) in table {
        let silence = Duration::from_secs_f64(1.0 + deviations * 0.1);
        let found = detector.phi(at(last) + silence);
        assert!(
            (found - phi).abs() < 0.05,
            "{deviations} deviations: φ {found} instead of {phi}"
        );
    }
}

#[test]
fn a_death_is_noticed_in_time_whatever_the_peer_was_like() {
    // (what the peer was like, its heartbeats, the least and the most it may take)
    let regular = (1..200).map(|beat| beat * 100).collect::<Vec<_>>();
    let slow = (1..200).map(|beat| beat * 500).collect::<Vec<_>>();
    let jittery = (1..200)
        .map(|beat| beat * 100 + (beat * 37) % 90)
        .collect::<Vec<_>>();
    let paused_twice = (1..200)
        .map(|beat| {
            beat * 100 + if beat > 150 { 1_900 } else { 0 } + if beat > 90 { 1_050 } else { 0 }
        })
        .collect::<Vec<_>>();
    let table = [
        ("never heard", vec![], 1_300, 1_450),
        ("heard once", vec![40], 1_300, 1_450),
        ("regular", regular, 1_300, 1_450),
        ("of the first release: every 500 ms", slow, 1_700, 1_850),
        ("jittery", jittery, 1_300, 1_500),
        (
            "with two pauses that are no samples",
            paused_twice,
            1_300,
            1_450,
        ),
    ];
    for (what, beats, least, most) in table {
        let (detector, last) = fed(EXPECTATION, beats);
        let took = noticed(&detector, last);
        assert!((least..=most).contains(&took), "{what}: {took} ms");
    }
}

#[test]
fn a_pause_of_a_second_convicts_nobody() {
    for period in [100, 500] {
        let (detector, last) = fed(EXPECTATION, (1..200).map(|beat| beat * period));
        // Stopped right after a heartbeat, and a tenth of a second late on top.
        let phi = detector.phi(at(last + period + 1_100));
        assert!(phi < 2.5, "every {period} ms: φ {phi}");
    }
}

#[test]
fn data_shows_life_and_teaches_nothing() {
    let (mut detector, last) = fed(EXPECTATION, (1..200).map(|beat| beat * 100));
    let before = noticed(&detector, last);
    for millis in 0..3_000 {
        detector.heard(at(last + millis));
    }
    let last = last + 2_999;
    assert_eq!(detector.silent(at(last + 7)), Duration::from_millis(7));
    assert_eq!(noticed(&detector, last), before);
}

#[test]
fn the_gap_of_a_reconnect_is_no_interval() {
    let (mut detector, last) = fed(EXPECTATION, (1..200).map(|beat| beat * 100));
    let before = noticed(&detector, last);
    // Short enough that it would have been learned.
    let back = last + 900;
    detector.reconnected(at(back));
    detector.heartbeat(at(back + 5));
    assert_eq!(noticed(&detector, back + 5), before);
}

#[test]
fn the_detector_follows_a_peer_that_changes_its_period() {
    let (mut detector, mut last) = fed(EXPECTATION, (1..200).map(|beat| beat * 500));
    for _ in 0..EXPECTATION.window {
        last += 100;
        detector.heartbeat(at(last));
    }
    assert!(noticed(&detector, last) < 1_450);
}

#[test]
fn an_observer_that_was_stopped_suspects_nobody() {
    let mut awake = AwakeTime::new(Duration::from_millis(200), at(0));
    let mut detector = PhiAccrual::new(EXPECTATION, at(0));
    for now in (100..=5_000).step_by(100) {
        awake.tick(at(now));
        detector.heartbeat(awake.at(at(now)));
    }
    // Stopped for a minute; asked before anything else ran.
    let now = at(65_000);
    assert!(detector.phi(awake.at(now)) < 0.1);
    awake.tick(now);
    assert!(detector.phi(awake.at(now)) < 0.1);
    // The peer is silent from then on: it takes as long as ever.
    let mut millis = 65_000;
    while detector.phi(awake.at(at(millis))) < 8.0 {
        millis += 1;
        if millis % 100 == 0 {
            awake.tick(at(millis));
        }
    }
    assert!((66_000..66_400).contains(&millis), "{millis}");
}

proptest! {
    #[test]
    fn phi_is_finite_and_never_falls_while_the_silence_lasts(
        beats in prop::collection::vec(0_u64..3_000, 0..300),
        looks in prop::collection::vec(0_u64..100_000_000, 2..20),
    ) {
        let mut now = 0;
        let (detector, last) = fed(EXPECTATION, beats.into_iter().map(|gap| { now += gap; now }));
        let mut looks = looks;
        looks.sort_unstable();
        let mut former = 0.0;
        for look in looks {
            let phi = detector.phi(at(last + look));
            prop_assert!(phi.is_finite() && phi >= former, "φ {} after {}", phi, former);
            former = phi;
        }
    }

    #[test]
    fn the_awake_time_never_runs_back_nor_faster_than_the_clock(
        steps in prop::collection::vec((0_u64..1_000, any::<bool>()), 0..200),
    ) {
        let mut awake = AwakeTime::new(Duration::from_millis(200), at(0));
        let (mut now, mut former) = (0, at(0));
        for (step, tick) in steps {
            now += step;
            let time = awake.at(at(now));
            prop_assert!(time >= former && time.since(former) <= Duration::from_millis(step));
            former = time;
            if tick {
                awake.tick(at(now));
                prop_assert_eq!(awake.at(at(now)), time);
            }
        }
    }
}
