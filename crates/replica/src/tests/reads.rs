//! Reads that are never older than their question.

use super::*;

const BRIEF: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn every_node_reads_what_was_committed_before() {
    let house = House::new("a b c");
    let ledgers = house.start_all().await;
    raise(&ledgers).await;
    for n in 0..30 {
        let (writer, reader) = (&ledgers[n % 3], &ledgers[(n + 1) % 3]);
        let leaf = writer.propose(act("a", n as u64)).await.unwrap();
        let state = reader.linearizable(BRIEF).await.unwrap();
        assert!(
            state.size > leaf,
            "{} read {} after leaf {leaf}",
            reader.me(),
            state.size
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_does_not_answer() {
    let house = House::new("a b c");
    let all = house.start_all().await;
    raise(&all).await;
    let (leader, rest) = leader_and_rest(all).await;
    house.isolate(leader.me());
    // At once, while it still takes itself for the leader: it has no majority to ask.
    assert!(leader.leads());
    let refused = leader
        .linearizable(Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(refused, ReadError::TimedOut { .. }), "{refused}");
    let direct = leader.serve(rest[0].me(), Call::ReadIndex).await;
    assert!(!matches!(direct, Some(Reply::ReadIndex(_))), "{direct:?}");

    // Later, when the others have gone on without it.
    let leaf = rest[0].propose(act("a", 1)).await.unwrap();
    let refused = leader.linearizable(BRIEF).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("is a majority of the nodes up"),
        "{refused}"
    );
    for reader in &rest {
        assert!(reader.linearizable(BRIEF).await.unwrap().size > leaf);
    }
    house.heal();
    assert!(leader.linearizable(LIMIT).await.unwrap().size > leaf);
}

#[tokio::test(start_paused = true)]
async fn a_leader_of_the_first_release_cannot_be_asked() {
    let house = House::new("a b c");
    let (leader, rest) = leader_and_rest(house.start_all().await).await;
    house
        .switch
        .older
        .lock()
        .unwrap()
        .insert(leader.me().clone());
    let refused = rest[0].linearizable(BRIEF).await.unwrap_err();
    assert_eq!(refused, ReadError::NotSpoken(leader.me().clone()));
}
