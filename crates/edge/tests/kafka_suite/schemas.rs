//! From Avro values, as fastavro writes them (`telemetry/tests/avro/write.py`), to reports.

use super::*;
use telemetry::transactions::{
    Answer, FieldNames, JsonLayout, Layout, Pipeline, PipelineConfig, WindowConfig,
};
use wire::UnixMillis;

const FIXTURE: &str = include_str!("../../../telemetry/tests/avro/fastavro.json");
const ID: u32 = 7;
/// Behind all of the fixture's times.
const NOW: UnixMillis = UnixMillis(1_772_366_460_000);

fn pipeline() -> Pipeline {
    let name = str::to_owned;
    let names = FieldNames {
        timestamp: name("at"),
        kind: name("kind"),
        key: name("origin.region"),
        amount: name("amount"),
        response: name("code"),
        latency: name("ms"),
        terminal: None,
    };
    Pipeline::new(PipelineConfig {
        topic: "movements".to_owned(),
        layout: Layout::Registered(JsonLayout::new(names, 0)),
        windows: WindowConfig::default(),
    })
}

/// A partition whose schema is not there is held at its place, and then goes on there.
pub(crate) async fn avro_values_wait_for_their_schema_and_become_windows(config: &ClientConfig) {
    let fixture: serde_json::Value = serde_json::from_str(FIXTURE).unwrap();
    let values = fixture["records"].as_array().unwrap().iter();
    let values: Vec<NewRecord> = values
        .map(|written| {
            let hex = written["hex"].as_str().unwrap();
            let digits = (0..hex.len()).step_by(2);
            let datum = digits.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            let value: Vec<u8> = [0]
                .into_iter()
                .chain(ID.to_be_bytes())
                .chain(datum)
                .collect();
            NewRecord {
                value: Some(value.into()),
                ..record("")
            }
        })
        .collect();
    let mut producer = topic(config, "movements", 1).await;
    within(producer.send(0, &values, Codec::Snappy))
        .await
        .unwrap();

    let (mut feed, mut pipeline) = (feed(config, "movements"), pipeline());
    let (mut reports, mut held, mut next) = (Vec::new(), 0, 0);
    within(async {
        while next < values.len() as i64 {
            for part in feed.poll().await.unwrap() {
                for read in part.records {
                    assert_eq!(
                        read.offset, next,
                        "nothing is passed over, nothing repeated"
                    );
                    let value = read.value.as_deref();
                    if let Some(id) = pipeline.wanted(NOW, value) {
                        assert_eq!((id, next), (ID, 0));
                        held += 1;
                        feed.hold(part.partition, read.offset, Duration::from_millis(50));
                        if held == 3 {
                            let answer = Answer::Schema {
                                kind: "AVRO".to_owned(),
                                text: fixture["schema"].as_str().unwrap().to_owned(),
                                references: 0,
                            };
                            pipeline.learn(NOW, id, answer);
                        }
                        break;
                    }
                    let refused = pipeline.record(NOW, 0, read.offset, value, &mut reports);
                    assert_eq!(refused, []);
                    next += 1;
                }
            }
        }
    })
    .await;
    pipeline.idle(UnixMillis(NOW.0 + 60_000), &mut reports);
    assert_eq!(held, 3);
    let count = |name: &str| {
        let readings = reports.iter().flat_map(|report| &report.readings);
        let of_name = readings.filter(|reading| reading.name == name);
        of_name.map(|reading| reading.value).sum::<f64>()
    };
    assert_eq!((count("count"), count("response.ok")), (5.0, 3.0));
    assert_eq!(pipeline.counters().counted, 5);
}
