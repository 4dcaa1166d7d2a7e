//! Links move to new keys and come back after a cut.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_move_to_the_epochs_that_both_ends_hold_and_come_back_after_a_cut() {
    let nodes = nodes(&["epoch-a", "epoch-b"]).await;
    let [a, b] = &nodes[..] else {
        unreachable!("two nodes were asked for")
    };
    let status = |from: &Node, to: &Node| from.cluster.links().get(to.cluster.me()).cloned();
    let settled = |epoch: u64| {
        [(a, b), (b, a)].iter().all(|(from, to)| {
            status(from, to).is_some_and(|link| {
                (link.sending_epoch, link.receiving_epoch) == (KeyEpoch(epoch), KeyEpoch(epoch))
            })
        })
    };
    assert!(settled(0));
    a.epochs.insert(KeyEpoch(1), [1; 32]);
    b.epochs.insert(KeyEpoch(1), [1; 32]);
    until("epoch 1", || settled(1)).await;
    b.epochs.insert(KeyEpoch(2), [2; 32]);
    b.epochs.insert(KeyEpoch(3), [3; 32]);
    a.epochs.insert(KeyEpoch(3), [3; 32]);
    until("epoch 3", || settled(3)).await;
    a.cluster
        .call(b.cluster.me(), Call::GroupInfo, PATIENCE)
        .await
        .unwrap();

    let mut events = b.cluster.events();
    a.cluster.disconnect(b.cluster.me(), "a test cuts it");
    let down = tokio::time::timeout(PATIENCE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(&down, LinkEvent::Down { node, .. } if node == a.cluster.me()),
        "{down:?}"
    );
    let up = tokio::time::timeout(PATIENCE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        up,
        LinkEvent::Up {
            node: a.cluster.me().clone(),
            incarnation: 1
        }
    );
    until("epoch 3 on the new link", || settled(3)).await;
    a.cluster
        .call(b.cluster.me(), Call::GroupInfo, PATIENCE)
        .await
        .unwrap();
}
