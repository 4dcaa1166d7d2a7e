//! From Avro values, as fastavro writes them, to reports.

use super::*;
use gear::movements::{Movements, framed};
use telemetry::transactions::{Answer, JsonLayout, Layout, Pipeline, PipelineConfig, WindowConfig};
use wire::UnixMillis;

const ID: u32 = 7;
/// Behind all of the fixture's times.
const NOW: UnixMillis = UnixMillis(1_772_366_460_000);

fn pipeline() -> Pipeline {
    Pipeline::new(PipelineConfig {
        topic: "movements".to_owned(),
        layout: Layout::Registered(JsonLayout::new(Movements::fields(), 0)),
        windows: WindowConfig::default(),
    })
}

/// A partition whose schema is not there is held at its place, and then goes on there.
pub(crate) async fn avro_values_wait_for_their_schema_and_become_windows(config: &ClientConfig) {
    let written = Movements::read();
    let data = written.data.iter();
    let values: Vec<NewRecord> = data
        .map(|datum| NewRecord {
            value: Some(framed(ID, datum).into()),
            ..record("")
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
                                text: written.schema.clone(),
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
