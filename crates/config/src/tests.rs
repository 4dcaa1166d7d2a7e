use super::*;

const GOOD: &str = r#"
[node]
name = "node-1"
data_dir = "data"
[cluster]
name = "house"
listen = "127.0.0.1:7201"
identity = "node-1.key"
[[cluster.peer]]
name = "node-1"
address = "127.0.0.1:7201"
identity = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
[[cluster.peer]]
name = "node-2"
address = "127.0.0.1:7202"
identity = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
[mailbox]
listen = "127.0.0.1:2525"
domains = ["glasshouse.example"]
[[room]]
name = "hall"
home = "node-1"
[[device]]
id = "ups-1"
room = "hall"
class = "ups"
addresses = ["ups@hall.example"]
"#;

fn check(text: &str) -> Result<Config, String> {
    parse(text, Path::new("house.toml"), Path::new("/etc/glasshouse"))
        .map_err(|error| error.to_string())
}

#[test]
fn a_good_file_is_read_with_its_defaults_and_paths_relative_to_it() {
    let config = check(GOOD).unwrap();
    assert_eq!(config.node.data_dir, Path::new("/etc/glasshouse/data"));
    assert!(config.mailbox.require_tls);
    assert_eq!(config.learning.min_cohort, 2);
    assert!(
        !config.learning.is_secure(),
        "two know each other's by their sum"
    );
    assert!(!config.cluster.allow_faults);
    assert!(config.feed.is_none() && config.alerts.is_none());
}

#[test]
fn algorithms_are_those_of_today_until_others_are_named() {
    let learning = check(GOOD).unwrap().learning;
    let plain = federation::Config::default();
    assert_eq!(learning.server_optimizer(), plain.optimizer);
    assert_eq!(learning.rule(), (plain.rule, plain.liars));
    assert_eq!(learning.selection(), plain.selection);
    assert_eq!(learning.privacy(), None);

    let text = GOOD.replace(
        "[[room]]",
        "[learning]\noptimizer = \"fedyogi\"\nserver_learning_rate = 0.1\ncohort_fraction = 0.5\nprivacy = { noise_multiplier = 1.2345, clip = 0.5, epsilon = 8.0 }\n[[room]]",
    );
    let learning = check(&text).unwrap().learning;
    let federation::optimizer::ServerOptimizer::FedYogi(settings) = learning.server_optimizer()
    else {
        panic!("{learning:?}");
    };
    assert_eq!((settings.learning_rate, settings.beta1), (0.1, 0.9));
    assert_eq!(learning.selection().fraction, 0.5);
    let privacy = learning.privacy().unwrap();
    assert_eq!((privacy.noise_milli, privacy.bound), (1_234, 0.5));
    assert_eq!((privacy.budget.epsilon, privacy.budget.delta), (8.0, 1e-5));
}

#[test]
fn scaffold_trains_by_plain_gradient_descent_and_nothing_else_does() {
    let learning = |keys: &str| {
        let text = GOOD.replace("[[room]]", &format!("[learning]\n{keys}\n[[room]]"));
        check(&text).unwrap().learning
    };
    let plain = learning("");
    assert!(!plain.has_variates());
    assert_eq!((plain.adam_learning_rate(), plain.buffer()), (2e-3, None));
    assert_eq!(learning("learning_rate = 0.01").adam_learning_rate(), 0.01);
    let scaffold = learning("optimizer = \"scaffold\"\nserver_learning_rate = 0.5");
    assert!(scaffold.has_variates());
    assert_eq!(scaffold.server_optimizer().learning_rate(), 0.5);
    assert_eq!(scaffold.sgd_learning_rate(), 0.05);
    let scaffold = learning("optimizer = \"scaffold\"\nlearning_rate = 0.1");
    assert_eq!(scaffold.sgd_learning_rate(), 0.1);
    assert_eq!(
        scaffold.adam_learning_rate(),
        2e-3,
        "of a node's own models"
    );
}

#[test]
fn a_buffer_makes_rounds_that_are_not_secure() {
    let text = GOOD.replace("[[room]]", "[learning]\nbuffer = { size = 4 }\n[[room]]");
    let mut learning = check(&text).unwrap().learning;
    // Of a cohort as large as this one rounds are secure unless something speaks against it.
    learning.min_cohort = 3;
    let buffer = learning.buffer().unwrap();
    assert_eq!((buffer.size, buffer.max_staleness), (4, 10));
    assert!(!learning.is_secure());
    learning.buffer = None;
    assert!(learning.is_secure());
}

#[test]
fn complaints_name_the_key_the_value_and_what_would_be_right() {
    let table: &[(&str, &str, &[&str])] = &[
        (
            "name = \"node-1\"\ndata_dir",
            "name = \"node 1\"\ndata_dir",
            &["`node.name`", "node 1", "letters, digits"],
        ),
        (
            "class = \"ups\"",
            "class = \"ups\"\nheartbeat_s = 0",
            &["`device[0].heartbeat_s`", "between 1 and 2764800"],
        ),
        (
            "listen = \"127.0.0.1:2525\"",
            "listen = \"2525\"",
            &["mailbox.listen", "socket address"],
        ),
        (
            "listen = \"127.0.0.1:2525\"",
            "lisen = \"127.0.0.1:2525\"",
            &["lisen", "expected one of", "listen"],
        ),
        (
            "domains = [\"glasshouse.example\"]",
            "domains = []",
            &["`mailbox.domains`", "[]", "at least one"],
        ),
        (
            "home = \"node-1\"",
            "home = \"node-9\"",
            &["`room[0].home`", "node-9", "node-2"],
        ),
        (
            "room = \"hall\"",
            "room = \"cellar\"",
            &["`device[0].room`", "cellar", "hall"],
        ),
        (
            "f707511a",
            "f70751",
            &["`cluster.peer[0].identity`", "64 hex digits"],
        ),
        (
            "name = \"node-2\"",
            "name = \"node-1\"",
            &["`cluster.peer[1].name`", "unique"],
        ),
        (
            "[[room]]",
            "[feed]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\nroom = \"hall\"\nformat = \"avro\"\n[[room]]",
            &["`feed.format`", "avro", "registry"],
        ),
        (
            "[[room]]",
            "[feed]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\nroom = \"hall\"\nformat = \"registry\"\n[[room]]",
            &["`feed.registry`", "None", "feed.format = \"registry\""],
        ),
        (
            "[[room]]",
            "[feed]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\nroom = \"hall\"\nformat = \"registry\"\n[feed.registry]\nurl = \"https://r:8081\"\n[[room]]",
            &["`feed.registry.ca`", "https"],
        ),
        (
            "[[room]]",
            "[feed]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\nroom = \"hall\"\nformat = \"registry\"\n[feed.registry]\nurl = \"r:8081\"\n[[room]]",
            &["`feed.registry.url`", "r:8081", "http://HOST"],
        ),
        (
            "[[room]]",
            "[feed]\nbrokers = [\"k:9092\"]\ntopic = \"t\"\nroom = \"hall\"\nformat = \"registry\"\n[feed.registry]\nurl = \"http://r:8081\"\nusername = \"u\"\n[[room]]",
            &["`feed.registry.password_file`", "username"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 1\n[[room]]",
            &["`learning.min_cohort`", "1", "between 2"],
        ),
        (
            "[[room]]",
            "[learning]\nsecure_aggregation = true\n[[room]]",
            &["`learning.secure_aggregation`", "min_cohort", "below 3"],
        ),
        (
            "[[room]]",
            "[learning]\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0, noise = \"distributed\" }\n[[room]]",
            &["`learning.privacy.noise`", "turn secure aggregation on"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nsecure_aggregation = true\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0, adaptive = true }\n[[room]]",
            &["`learning.privacy.adaptive`", "clip before they mask"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nprivacy = { noise_multiplier = 0.001, clip = 1.0, epsilon = 8.0, noise = \"distributed\" }\n[[room]]",
            &["`learning.privacy.noise_multiplier`", "too little for each"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0, noise = \"mine\" }\n[[room]]",
            &["learning.privacy.noise", "mine", "distributed"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nsecure_aggregation = true\nrobust = { rule = \"median\", f = 1 }\n[[room]]",
            &["`learning.robust`", "sum them in groups"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nsecure_groups = 2\n[[room]]",
            &["`learning.secure_groups`", "at most 1 groups"],
        ),
        (
            "[[room]]",
            "[learning]\nsecure_aggregation = false\nsecure_groups = 2\n[[room]]",
            &["`learning.secure_groups`", "not secure"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\ncompression = { kind = \"quantised\", bits = 8 }\n[[room]]",
            &[
                "`learning.compression`",
                "64 bits",
                "secure_aggregation = false",
            ],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"scaffold\"\nproximal_mu = 0.1\n[[room]]",
            &["`learning.proximal_mu`", "set learning.proximal_mu = 0"],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"scaffold\"\nserver_momentum = 0.9\n[[room]]",
            &["`learning.server_momentum`", "0.9", "scaffold"],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"scaffold\"\nmin_cohort = 3\nrobust = { rule = \"median\", f = 1 }\n[[room]]",
            &["`learning.robust`", "use rule = \"mean\""],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"scaffold\"\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0 }\n[[room]]",
            &["`learning.privacy`", "turn privacy off"],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"scaffold\"\nbuffer = { size = 2 }\n[[room]]",
            &["`learning.optimizer`", "run SCAFFOLD in rounds"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nbuffer = { size = 2 }\n[[room]]",
            &[
                "`learning.buffer.size`",
                "2",
                "at least learning.min_cohort",
            ],
        ),
        (
            "[[room]]",
            "[learning]\nbuffer = { size = 2, max_staleness = 1000 }\n[[room]]",
            &["`learning.buffer.max_staleness`", "1000", "at most 100"],
        ),
        (
            "[[room]]",
            "[learning]\nbuffer = { size = 2 }\ncohort_fraction = 0.5\n[[room]]",
            &["`learning.buffer`", "everybody has to be asked"],
        ),
        (
            "[[room]]",
            "[learning]\nmin_cohort = 3\nbuffer = { size = 3 }\nsecure_aggregation = true\n[[room]]",
            &["`learning.buffer`", "secure_aggregation = false"],
        ),
        (
            "[[room]]",
            "[learning]\ncompression = { kind = \"quantised\", bits = 1 }\n[[room]]",
            &["`learning.compression.bits`", "between 2 and 16"],
        ),
        (
            "[[room]]",
            "[learning]\ncompression = { kind = \"top-k\", fraction = 0.0 }\n[[room]]",
            &["`learning.compression.fraction`", "at most 1"],
        ),
        (
            "[[room]]",
            "[learning]\ncompression = { kind = \"top-k\", bits = 3 }\n[[room]]",
            &["learning.compression", "bits"],
        ),
        (
            "[[room]]",
            "[learning]\nresend_ms = 10\n[[room]]",
            &["`learning.resend_ms`", "10", "between 100"],
        ),
        (
            "[[room]]",
            "[learning]\npause_ms = \"long\"\n[[room]]",
            &["learning.pause_ms", "long", "u64"],
        ),
        (
            "[[room]]",
            "[learning]\noptimizer = \"sgd\"\n[[room]]",
            &["learning.optimizer", "sgd", "fedavg"],
        ),
        (
            "[[room]]",
            "[learning]\nserver_momentum = 1.0\n[[room]]",
            &["`learning.server_momentum`", "below 1"],
        ),
        (
            "[[room]]",
            "[learning]\nrobust = { rule = \"median\", f = 1 }\n[[room]]",
            &[
                "`learning.robust`",
                "median with f = 1",
                "among 3 updates or more, and there are 2",
            ],
        ),
        (
            "[[room]]",
            "[learning]\nrobust = { rule = \"median\" }\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0 }\n[[room]]",
            &["`learning.robust`", "not for median", "rule = \"mean\""],
        ),
        (
            "[[room]]",
            "[learning]\nprivacy = { noise_multiplier = 0.0, clip = 1.0, epsilon = 8.0 }\n[[room]]",
            &["`learning.privacy`", "from 0.001"],
        ),
        (
            "[[room]]",
            "[learning]\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0, delta = 0.5 }\n[[room]]",
            &["`learning.privacy.delta`", "0.5", "at most 0.01"],
        ),
        (
            "[[room]]",
            "[learning]\nprivacy = { noise_multiplier = 1.0, clip = 1.0, epsilon = 8.0, tenant = \"two words\" }\n[[room]]",
            &["`learning.privacy.tenant`", "two words", "1 to 64 letters"],
        ),
        (
            "[[room]]",
            "[learning]\nover_selection = 0.5\n[[room]]",
            &["`learning.over_selection`", "0.5", "between 1"],
        ),
        (
            "[[room]]",
            "[learning]\ncohort_size = 1\n[[room]]",
            &["`learning.cohort_size`", "1", "min_cohort"],
        ),
        (
            "[[room]]",
            "[dds]\ndomain = 231\n[[room]]",
            &["`dds.domain`", "231", "0 to 230"],
        ),
        (
            "[[room]]",
            "[dds]\npeers = []\n[[room]]",
            &["`dds.peers`", "at least one host", "multicast"],
        ),
        (
            "[[room]]",
            "[dds]\nport_base = 65400\n[[room]]",
            &["`dds.participants`", "65535"],
        ),
        (
            "[[room]]",
            "[dds]\ninterfaces = \"eth0\"\n[[room]]",
            &["dds.interfaces", "an IP address or a list"],
        ),
        (
            "[[room]]",
            "[dds.topic.scors]\n[[room]]",
            &["`dds.topic.scors`", "\"scores\"", "\"alerts\""],
        ),
        (
            "[[room]]",
            "[dds.topic.scores]\nprofile = \"fast\"\n[[room]]",
            &["`dds.topic.scores.profile`", "\"fast\"", "\"telemetry\""],
        ),
        (
            "[[room]]",
            "[dds.topic.scores]\ntime_filter_ms = 2000\ndeadline_ms = 1000\n[[room]]",
            &["`dds.topic.scores.time_filter_ms`", "2s", "deadline (1s)"],
        ),
        (
            "[[room]]",
            "[dds.topic.readings]\nbacklog = 4\n[[room]]",
            &["`dds.topic.readings.backlog`", "is 4", "`retained` (16)"],
        ),
        (
            "[[room]]",
            "[dds.topic.alerts]\nreliability = \"best-effort\"\n[[room]]",
            &["`dds.topic.alerts.reliability`", "durability volatile"],
        ),
        (
            "[[room]]",
            "[dds.topic.alerts]\nstrength = 3\n[[room]]",
            &["`dds.topic.alerts.strength`", "exclusive"],
        ),
        (
            "[[room]]",
            "[dds.topic.status]\nliveliness = \"manual\"\n[[room]]",
            &["`dds.topic.status.lease_ms`", "liveliness is manual"],
        ),
        (
            "data_dir = \"data\"",
            "data_dir = \"data\"\nadmin = \"0.0.0.0:7100\"",
            &["`node.admin`", "loopback"],
        ),
        (
            "listen = \"127.0.0.1:7201\"",
            "listen = \"192.0.2.1:7201\"\nallow_faults = true",
            &["`cluster.allow_faults`", "192.0.2.1:7201", "loopback"],
        ),
        (
            "[[room]]",
            "[[mailbox.profile]]\nname = \"old\"\nnetworks = [\"10.0.0.0/33\"]\nrelaxes = []\n[[room]]",
            &[
                "`mailbox.profile[0].networks`",
                "10.0.0.0/33",
                "192.0.2.0/24",
            ],
        ),
        (
            "[[room]]",
            "[[mailbox.profile]]\nname = \"old\"\nnetworks = [\"10.0.0.0/8\"]\nrelaxes = [\"all\"]\n[[room]]",
            &["`mailbox.profile[0].relaxes`", "all", "bare_lf"],
        ),
        (
            "listen = \"127.0.0.1:2525\"",
            "listen = \"127.0.0.1:2525\"\nproxies = [\"balancer\"]",
            &["`mailbox.proxies[0]`", "balancer", "192.0.2.0/24"],
        ),
        (
            "listen = \"127.0.0.1:2525\"",
            "listen = \"127.0.0.1:2525\"\nimplicit_tls = \"127.0.0.1:2525\"",
            &["`mailbox.implicit_tls`", "another address"],
        ),
        (
            "listen = \"127.0.0.1:2525\"",
            "listen = \"127.0.0.1:2525\"\nmin_rate = 0",
            &["`mailbox.min_rate`", "at least 1"],
        ),
        (
            "class = \"ups\"",
            "class = \"ups\"\nlogin = \"secret\"",
            &["`device[0].login`", "not shown", "glasshouse device login"],
        ),
        (
            "class = \"ups\"",
            "class = \"ups\"\ncertificate = \"ab\"",
            &["`device[0].certificate`", "ab", "64 hex digits"],
        ),
        (
            "class = \"ups\"",
            "class = \"ups\"\nkey = \"ab\"",
            &["`device[0].key`", "ab", "ed25519"],
        ),
        (
            "class = \"ups\"",
            "class = \"ups\"\nnetworks = [\"here\"]",
            &["`device[0].networks`", "here", "192.0.2.0/24"],
        ),
        (
            "[node]",
            "[keys]\norigin_proof = [\"glasshouse_alerts\", \"scores\"]\n[node]",
            &[
                "`keys.origin_proof[1]`",
                "scores",
                "glasshouse_readings, glasshouse_scores",
            ],
        ),
        ("[node]", "[node", &["house.toml"]),
    ];
    for (from, to, expected) in table {
        assert!(
            GOOD.contains(from),
            "the table's `{from}` is not in the sample"
        );
        let error = check(&GOOD.replacen(from, to, 1)).expect_err(to);
        for part in *expected {
            assert!(
                error.contains(part),
                "`{to}` gave `{error}`, which does not mention `{part}`"
            );
        }
    }
}

#[test]
fn all_problems_are_listed_at_once() {
    let text = GOOD
        .replace("domains = [\"glasshouse.example\"]", "domains = []")
        .replace("home = \"node-1\"", "home = \"x\"");
    let error = check(&text).unwrap_err();
    assert!(
        error.contains("mailbox.domains") && error.contains("room[0].home"),
        "{error}"
    );
}

#[test]
fn what_devices_are_known_by_is_read_and_written_again() {
    let login = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let text = GOOD
        .replace(
            "class = \"ups\"",
            &format!("class = \"ups\"\nlogin = \"{login}\"\nnetworks = [\"10.0.0.0/8\"]"),
        )
        .replace(
            "[[room]]",
            "[[mailbox.profile]]\nname = \"old\"\nnetworks = [\"10.0.0.0/8\"]\nrelaxes = [\"bare_lf\", \"no_date\"]\n[[room]]",
        );
    let config = check(&text).unwrap();
    assert_eq!(config.devices[0].login.as_deref(), Some(login));
    let again = check(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again.mailbox.profiles[0].relaxes, ["bare_lf", "no_date"]);
    assert_eq!(again.devices[0].networks, ["10.0.0.0/8"]);
}

#[test]
fn a_topic_is_its_profile_and_what_differs() {
    use dds::{Liveliness, Ownership, Qos, Topic};
    use std::time::Duration;
    let text = format!(
        "{GOOD}\n[dds]\ninterface = \"192.0.2.7\"\n[dds.topic.scores]\nprofile = \"alert\"\nqueue = 9\ndeadline_ms = 5000\nliveliness = \"manual\"\nlease_ms = 9000\n[dds.topic.alerts]\nownership = \"exclusive\"\nstrength = 7\n"
    );
    let config = check(&text).unwrap();
    let expected = [
        Topic::ALERTS.with_qos(Qos {
            ownership: Ownership::Exclusive { strength: 7 },
            ..Qos::ALERT
        }),
        Topic::SCORES.with_qos(Qos {
            queue: 9,
            deadline: Some(Duration::from_secs(5)),
            liveliness: Liveliness::ManualByTopic {
                lease: Duration::from_secs(9),
            },
            ..Qos::ALERT
        }),
    ];
    assert_eq!(config.dds.configured_topics(), expected);
    let domain = config.dds.domain_config();
    assert_eq!(
        domain.interfaces,
        ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(domain.lease, Duration::from_secs(4));
}

#[test]
fn rounds_are_secure_where_three_take_part_unless_told_otherwise() {
    let learning = |min_cohort, secure_aggregation| crate::Learning {
        min_cohort,
        secure_aggregation,
        ..crate::Learning::default()
    };
    assert!(learning(3, None).is_secure() && learning(3, Some(true)).is_secure());
    assert!(!learning(2, None).is_secure() && !learning(3, Some(false)).is_secure());
    let mut groups = learning(9, None);
    groups.robust.rule = crate::RuleKind::Median;
    groups.secure_groups = 3;
    assert!(groups.is_secure(), "means of groups can be compared");
    assert_eq!(groups.terms().unwrap().groups, 3);
    let mut noisy = learning(3, None);
    noisy.privacy = Some(crate::Privacy {
        noise_multiplier: 1.0,
        clip: 0.5,
        adaptive: false,
        noise: crate::NoiseKind::Distributed,
        epsilon: 8.0,
        delta: 1e-5,
        tenant: None,
    });
    assert!(
        noisy.is_secure(),
        "parts of the noise hide nothing in clear"
    );
    assert!(noisy.terms().unwrap().treatment.is_private());
    let mut robust = learning(3, None);
    robust.robust.rule = crate::RuleKind::Median;
    assert!(
        !robust.is_secure(),
        "a median needs to see what it compares"
    );
}

#[test]
fn dds_security_is_refused_where_it_is_not_built_in() {
    let files = [
        "identity_ca",
        "permissions_ca",
        "certificate",
        "private_key",
        "governance",
        "permissions",
    ];
    let files = files
        .map(|file| format!("{file} = \"dds/{file}.pem\"\n"))
        .concat();
    let mut config: Config =
        toml::from_str(&format!("{GOOD}\n[dds.security]\n{files}")).expect("a configuration");
    let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    if dds::Security::BUILT_IN {
        assert_eq!(problems, [""; 0]);
    } else {
        let told = problems.concat();
        assert!(told.starts_with("`dds.security` is "), "{told}");
        assert!(told.contains("--features security"), "{told}");
    }
    config.resolve_paths(Path::new("/etc/glasshouse"));
    let joined = config
        .dds
        .domain_config()
        .security
        .expect("it is asked for");
    assert!(
        joined
            .files()
            .iter()
            .all(|(_, path)| path.starts_with("/etc/glasshouse/dds"))
    );
}
