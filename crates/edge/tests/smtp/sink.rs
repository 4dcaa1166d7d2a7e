//! The journal behind the door: order, replay, duplicates, back-pressure.

use crate::house::{Client, OPENING};
use crate::house::{House, message, policy, relaxed};
use edge::smtp::*;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;
use wire::UnixMicros;

fn mail(text: &str) -> AcceptedMail {
    AcceptedMail {
        mail: Mail {
            reverse_path: Some(Address::parse("ups@hall.example").expect("an address")),
            forward_paths: vec![Address::parse("t@house.example").expect("an address")],
            data: text.as_bytes().to_vec(),
            tls: true,
            profile: None,
            identity: None,
            counter: None,
            helo: "ups".to_owned(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
        end_of_data: UnixMicros(1),
    }
}

async fn open(dir: &TempDir, options: JournalSinkOptions) -> (Arc<JournalSink>, Receiver<Stored>) {
    let (sink, stored, _) = JournalSink::open(dir.path(), options).await.expect("opens");
    (sink, stored)
}

fn receipt(id: u64, duplicate: bool) -> Result<Receipt, Defer> {
    Ok(Receipt {
        id: id.to_string(),
        duplicate,
    })
}

#[tokio::test]
async fn what_was_not_processed_is_handed_on_again_before_anything_new() {
    let dir = TempDir::new().expect("a directory");
    let options = JournalSinkOptions::default();
    let (sink, mut stored) = open(&dir, options.clone()).await;
    for number in 1..=4 {
        assert_eq!(
            sink.accept(mail(&message(number))).await,
            receipt(number as u64, false)
        );
        assert_eq!(
            stored.recv().await.map(|stored| stored.seq),
            Some(number as u64)
        );
    }
    assert_eq!(sink.pending(), 4);
    sink.mark_processed(2).await.expect("written");
    assert_eq!(sink.pending(), 2);
    drop((sink, stored));

    let (sink, mut stored) = open(&dir, options).await;
    assert_eq!(sink.accept(mail(&message(5))).await, receipt(5, false));
    for number in 3..=5 {
        let next = stored.recv().await.expect("open");
        assert_eq!(
            (next.seq, next.mail.data),
            (number as u64, message(number).into_bytes())
        );
    }
}

#[tokio::test]
async fn a_message_that_comes_twice_counts_once_also_after_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let options = JournalSinkOptions::default();
    let (sink, mut stored) = open(&dir, options.clone()).await;
    let alarm = "Subject: on battery\r\n\r\nno id\r\n";
    assert_eq!(sink.accept(mail(&message(1))).await, receipt(1, false));
    assert_eq!(sink.accept(mail(&message(1))).await, receipt(1, true));
    // Without an id two alarms are two alarms.
    assert_eq!(sink.accept(mail(alarm)).await, receipt(2, false));
    assert_eq!(sink.accept(mail(alarm)).await, receipt(3, false));
    for seq in 1..=3 {
        assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(seq));
    }
    sink.mark_processed(3).await.expect("written");
    drop((sink, stored));

    let (sink, mut stored) = open(&dir, options).await;
    assert_eq!(sink.accept(mail(&message(1))).await, receipt(1, true));
    assert_eq!(sink.accept(mail(&message(2))).await, receipt(4, false));
    assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(4));
}

#[tokio::test]
async fn the_same_message_on_many_connections_at_once_is_stored_once() {
    let dir = TempDir::new().expect("a directory");
    let (sink, mut stored) = open(&dir, JournalSinkOptions::default()).await;
    let accepts = (0..50).map(|_| sink.accept(mail(&message(1))));
    let verdicts = futures::future::join_all(accepts).await;
    let fresh = verdicts
        .iter()
        .filter(|verdict| **verdict == receipt(1, false))
        .count();
    assert_eq!(fresh, 1, "{verdicts:?}");
    for verdict in verdicts {
        let expected = [receipt(1, false), receipt(1, true), Err(Defer::Busy)];
        assert!(expected.contains(&verdict), "{verdict:?}");
    }
    assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(1));
    assert!(stored.try_recv().is_err());
}

/// Whoever works the messages off is behind: memory does not grow, the client is told 451, and
/// nothing that was answered 250 is lost.
#[tokio::test]
async fn a_full_hand_over_puts_messages_off() {
    let dir = TempDir::new().expect("a directory");
    let patience = std::time::Duration::from_millis(50);
    let options = JournalSinkOptions {
        handover: 2,
        patience,
        ..Default::default()
    };
    let (sink, mut stored) = open(&dir, options).await;
    assert_eq!(sink.accept(mail(&message(1))).await, receipt(1, false));
    assert_eq!(sink.accept(mail(&message(2))).await, receipt(2, false));
    assert_eq!(sink.accept(mail(&message(3))).await, Err(Defer::Busy));
    assert_eq!(sink.journal().last(), 2, "not even tried");
    assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(1));
    assert_eq!(sink.accept(mail(&message(3))).await, receipt(3, false));
    assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(2));
    assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(3));
}

/// The same, with a backlog from the last run that does not fit at once.
#[tokio::test]
async fn a_backlog_larger_than_the_hand_over_is_replayed_in_order() {
    let dir = TempDir::new().expect("a directory");
    let (sink, stored) = open(&dir, JournalSinkOptions::default()).await;
    for number in 1..=30 {
        sink.accept(mail(&message(number))).await.expect("durable");
    }
    drop((sink, stored));
    let (sink, mut stored) = open(
        &dir,
        JournalSinkOptions {
            handover: 2,
            ..Default::default()
        },
    )
    .await;
    let new = tokio::spawn(async move { sink.accept(mail(&message(31))).await });
    for seq in 1..=31 {
        assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(seq));
    }
    assert_eq!(new.await.expect("no panic"), receipt(31, false));
}

#[tokio::test]
async fn a_journal_of_something_else_is_refused_with_its_record() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) =
        runtime::journal::Journal::open(dir.path(), Default::default()).expect("opens");
    journal
        .append(b"not a mail".to_vec())
        .await
        .expect("durable");
    drop(journal);
    let error = JournalSink::open(dir.path(), Default::default())
        .await
        .err()
        .expect("refused");
    assert!(error.to_string().contains("record 1"), "{error}");
}

#[tokio::test]
async fn the_time_of_arrival_is_that_of_the_last_byte() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    let mut client = Client::connect(house.port()).await;
    client.play(OPENING).await;
    client.play(&[("DATA", "354")]).await;
    let micros = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.expect("after 1970").as_micros() as u64
    };
    let before = micros();
    client.play(&[("x\r\n.", "250 2.0.0 stored as 1")]).await;
    let stored = house.next().await;
    assert!((before..=micros()).contains(&stored.mail.end_of_data.0));
    assert!(!stored.mail.tls && house.recovery.records == 0 && policy().require_tls);
}
