use super::*;
use wire::{ProposalId, UnixMillis};

fn mail(node: &str, range: (u64, u64), values: &[&[u8]]) -> (Record, Applied) {
    let digests: Vec<Digest> = values.iter().map(|value| Digest::of(value)).collect();
    let record = Record {
        id: ProposalId([0; 16]),
        proposer: node.into(),
        time: UnixMillis(0),
        act: Act::Ingested {
            node: node.into(),
            source: Source::Mail,
            first: range.0,
            last: range.1,
            count: values.len() as u64,
            digest: together(digests.iter()),
        },
    };
    (record, Applied::Effective)
}

/// Three mails: two with node-1, one first lost at node-2 and then with node-1, too.
fn book() -> Book {
    let mut book = Book::default();
    let [a, b, c] = [&b"a"[..], b"b", b"c"].map(|raw| book.send(raw));
    book.acknowledged(a, 1, 1);
    book.acknowledged(b, 1, 2);
    book.uncertain(c, 2);
    book.acknowledged(c, 1, 3);
    book
}

#[test]
fn a_mail_whose_answer_was_lost_is_asked_about_until_its_number_is_known() {
    let mut book = book();
    let acts = [
        mail("node-1", (1, 2), &[b"a", b"b"]),
        mail("node-2", (1, 1), &[b"c"]),
        mail("node-1", (3, 3), &[b"c"]),
    ];
    let before = audit_mails(&book, &acts);
    assert_eq!(
        before.complaints,
        ["node-2: mails 1 to 1 include one that no sender was told of"]
    );
    let questions = book.questions();
    assert_eq!(questions, [(MailId(2), 2)]);
    book.acknowledged(questions[0].0, 2, 1);
    assert!(book.questions().is_empty());
    let after = audit_mails(&book, &acts);
    assert_eq!(
        after,
        Audit {
            acknowledged: 3,
            accounted: 4,
            repeated: 1,
            complaints: vec![]
        }
    );
}

#[test]
fn loss_repetition_alteration_and_invention_are_found() {
    let mut book = book();
    book.acknowledged(MailId(2), 2, 1);
    let good = || {
        vec![
            mail("node-1", (1, 2), &[b"a", b"b"]),
            mail("node-1", (3, 3), &[b"c"]),
            mail("node-2", (1, 1), &[b"c"]),
        ]
    };
    let check = |acts: &[(Record, Applied)], says: &str| {
        let found = audit_mails(&book, acts).complaints.join("\n");
        assert!(found.contains(says), "{says:?} in {found:?}");
    };
    assert!(audit_mails(&book, &good()).complaints.is_empty());
    let mut lost = good();
    lost.remove(1);
    check(
        &lost,
        "node-1: mail 3 was acknowledged and is not on the ledger",
    );
    let mut skipped = good();
    skipped.remove(0);
    check(&skipped, "1 mails from 3 to 3, behind 0");
    let mut twice = good();
    twice.push(mail("node-1", (3, 3), &[b"c"]));
    check(&twice, "from 3 to 3, behind 3");
    let mut altered = good();
    altered[1] = mail("node-1", (3, 3), &[b"x"]);
    check(&altered, "is not that of what was sent");
    let mut invented = good();
    invented.push(mail("node-2", (2, 2), &[b"y"]));
    check(&invented, "no sender was told of");
    // What the ledger ignored does not count.
    let mut ignored = good();
    ignored[1].1 = Applied::Duplicate { first: 0 };
    check(&ignored, "mail 3 was acknowledged and is not on the ledger");
}

#[test]
fn mails_that_nobody_took_and_numbers_given_twice_are_told() {
    let mut book = Book::default();
    let [a, b] = [&b"a"[..], b"b"].map(|raw| book.send(raw));
    book.acknowledged(a, 1, 1);
    let acts = [mail("node-1", (1, 1), &[b"a"])];
    let found = audit_mails(&book, &acts).complaints.join("\n");
    assert!(found.contains("1 mails were never acknowledged"), "{found}");
    book.acknowledged(b, 1, 1);
    let found = audit_mails(&book, &acts).complaints.join("\n");
    assert!(found.contains("the number 1 to two mails"), "{found}");
}

/// An act about one partition: from where, and the values.
fn read(node: &str, partition: u32, from: u64, values: &[&[u8]]) -> (Record, Applied) {
    let digests: Vec<Digest> = values.iter().map(|value| Digest::of(value)).collect();
    let (record, applied) = mail(node, (1, 1), &[b"x"]);
    let to = from + values.len() as u64;
    let advance = wire::FeedAdvance {
        partition,
        from,
        to,
        moved: false,
        resume: to,
        watermark: UnixMillis(0),
        count: values.len() as u64,
        digest: together(digests.iter()),
    };
    let act = Act::FeedAdvanced {
        node: node.into(),
        topic: "t".to_owned(),
        advances: vec![advance],
    };
    (Record { act, ..record }, applied)
}

#[test]
fn records_are_compared_with_the_topic_and_the_topic_with_the_ledger() {
    let values = [&b"r0"[..], b"r1", b"r2", b"r3"];
    let mut topic: BTreeMap<Place, Digest> = (0..)
        .zip(values.map(Digest::of))
        .map(|(offset, value)| ((0, offset), value))
        .collect();
    topic.insert((1, 0), Digest::of(b"s0"));
    let mut book = Book::default();
    book.produced(0, 0, &[Digest::of(b"r0"), Digest::of(b"r1")]);
    // The answer about r2 was lost, and it was produced again.
    book.produced(0, 3, &[Digest::of(b"r3")]);
    book.produced(1, 0, &[Digest::of(b"s0")]);
    let good = [
        read("node-1", 0, 0, &values[..2]),
        read("node-3", 1, 0, &[b"s0"]),
        read("node-2", 0, 2, &values[2..]),
    ];
    assert_eq!(
        audit_records(&book, &topic, &good),
        Audit {
            acknowledged: 4,
            accounted: 5,
            repeated: 0,
            complaints: vec![]
        }
    );
    let check = |topic: &BTreeMap<Place, Digest>, acts: &[(Record, Applied)], says: &str| {
        let found = audit_records(&book, topic, acts).complaints.join("\n");
        assert!(found.contains(says), "{says:?} in {found:?}");
    };
    check(
        &topic,
        &good[..2],
        "record 3 of partition 0 is on the topic and not on the ledger",
    );
    let altered = |last| [good[0].clone(), good[1].clone(), last];
    let other = altered(read("node-2", 0, 2, &[b"r2", b"x"]));
    check(&topic, &other, "another digest than on the topic");
    let again = altered(read("node-2", 0, 1, &values[1..]));
    check(&topic, &again, "record 1 of partition 0 counts twice");
    let mut short = topic.clone();
    short.remove(&(0, 3));
    check(
        &short,
        &good[..2],
        "record 3 of partition 0 was acknowledged and is not on the topic",
    );
}

#[test]
fn many_complaints_of_a_kind_are_counted() {
    let mut book = Book::default();
    book.produced(0, 0, &[Digest::of(b"r"); 10]);
    let audit = audit_records(&book, &BTreeMap::new(), &[]);
    assert_eq!(audit.complaints.len(), TOLD + 1);
    assert_eq!(audit.complaints[TOLD], "… and 7 more of this kind");
}
