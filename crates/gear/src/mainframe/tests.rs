use super::*;
use telemetry::transactions::{FieldNames, TransactionLayout};

const START: UnixMillis = UnixMillis(1_772_366_400_000);

fn after(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn layout() -> TransactionLayout {
    TransactionLayout::new(
        Copybook::parse(COPYBOOK).unwrap(),
        CODE_PAGE,
        &FieldNames::default(),
        0,
    )
    .unwrap()
}

#[test]
fn records_read_back_as_they_were() {
    let encoder = Encoder::new().unwrap();
    let layout = layout();
    let transactions = Mainframe::new(MainframeConfig::default()).between(START, after(5_000));
    assert!(transactions.len() > 100, "{}", transactions.len());
    for transaction in &transactions {
        let read = layout.read(&encoder.encode(transaction).unwrap()).unwrap();
        assert_eq!(read.time, transaction.time);
        assert_eq!(
            (read.key, read.kind, read.response),
            (
                transaction.region.clone(),
                transaction.kind.clone(),
                transaction.response.clone()
            )
        );
        assert_eq!(
            read.amount,
            Decimal::new(i128::from(transaction.amount_cents), 2)
        );
        assert_eq!(read.latency_ms, u64::from(transaction.elapsed_ms));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let mut mainframe = Mainframe::new(MainframeConfig {
            seed,
            ..MainframeConfig::default()
        });
        (0..10)
            .flat_map(|step| mainframe.between(after(step * 500), after(step * 500 + 500)))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let ids: Vec<_> = run(7).iter().map(|transaction| transaction.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

/// Means over one region: milliseconds, share refused, cents.
fn means(transactions: &[Transaction], region: &str) -> (f64, f64, f64) {
    let of: Vec<_> = transactions
        .iter()
        .filter(|transaction| transaction.region == region)
        .collect();
    let count = of.len() as f64;
    let sum = |value: &dyn Fn(&Transaction) -> f64| {
        of.iter().map(|transaction| value(transaction)).sum::<f64>() / count
    };
    (
        sum(&|t| f64::from(t.elapsed_ms)),
        sum(&|t| f64::from(u8::from(t.response != APPROVED))),
        sum(&|t| t.amount_cents as f64),
    )
}

#[test]
fn faults_show_in_their_region_and_time_only() {
    let fault = |kind| Fault {
        region: "CICSPRD1".to_owned(),
        kind,
        from: after(10_000),
        until: after(20_000),
    };
    let config = MainframeConfig {
        rate: 200.0,
        ..MainframeConfig::default()
    };
    let mut mainframe = Mainframe::new(config);
    for kind in [
        FaultKind::LatencySurge(8.0),
        FaultKind::ErrorSurge(0.4),
        FaultKind::AmountAnomaly(10.0),
    ] {
        mainframe.inject(fault(kind));
    }
    let before = mainframe.between(START, after(10_000));
    let during = mainframe.between(after(10_000), after(20_000));
    let later = mainframe.between(after(20_000), after(30_000));
    let (usual, hit) = (means(&before, "CICSPRD1"), means(&during, "CICSPRD1"));
    assert!(
        hit.0 > 6.0 * usual.0 && hit.1 > 0.3 && usual.1 < 0.05 && hit.2 > 7.0 * usual.2,
        "{usual:?} {hit:?}"
    );
    for calm in [means(&during, "CICSPRD2"), means(&later, "CICSPRD1")] {
        assert!(
            calm.0 < 1.2 * usual.0 && calm.1 < 0.05 && calm.2 < 1.5 * usual.2,
            "{usual:?} {calm:?}"
        );
    }
}

/// Expected from `date -u`.
#[test]
fn timestamps() {
    for (millis, text) in [
        (0, "1970-01-01-00.00.00.000000"),
        (951_782_400_000, "2000-02-29-00.00.00.000000"),
        (1_772_366_400_500, "2026-03-01-12.00.00.500000"),
        (4_102_444_799_999, "2099-12-31-23.59.59.999000"),
    ] {
        assert_eq!(db2_timestamp(UnixMillis(millis)), text);
    }
}
