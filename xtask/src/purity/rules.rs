//! The rules themselves.

/// A crate that must stay pure, and the crates of the house that it may depend on.
pub(super) struct PureCrate {
    pub(super) name: &'static str,
    pub(super) may_use: &'static [&'static str],
}

const fn pure(name: &'static str, may_use: &'static [&'static str]) -> PureCrate {
    PureCrate { name, may_use }
}

/// Domain crates depend on the vocabulary, never on each other; the ledger is a fold over a
/// Merkle log and may know `tlog`.
pub(super) const PURE: [PureCrate; 8] = [
    pure("machine", &[]),
    pure("wire", &["machine"]),
    pure("telemetry", &["machine", "wire"]),
    pure("federation", &["machine", "wire"]),
    pure("custody", &["machine", "wire"]),
    pure("tlog", &["machine", "wire"]),
    pure("ledger", &["machine", "wire", "tlog"]),
    // Bytes in, bytes out: it does not even know the vocabulary.
    pure("functions", &[]),
];

/// Never below a pure crate, however deep: runtimes, sockets, actors, consensus.
pub(super) const NEVER_BELOW: [&str; 8] = [
    "tokio",
    "mio",
    "socket2",
    "async-std",
    "smol",
    "ractor",
    "ractor_cluster",
    "openraft",
];

/// Not a direct dependency: entropy comes in as an input. Deeper down cryptography crates name
/// it for the generators that we do not use.
pub(super) const NEVER_DIRECT: [&str; 3] = ["getrandom", "rand", "fastrand"];

/// Measures what we have made of foreign libraries beside the libraries as they come; nothing stands on it.
pub(super) const MEASURES: &str = "bench";

/// Foreign libraries that one crate each wraps.
pub(super) const OWNERS: [(&str, &str); 8] = [
    ("tch", "learn"),
    ("torch-sys", "learn"),
    ("cyclonedds", "dds"),
    ("cyclonedds-rust-sys", "dds"),
    ("samsa", "edge"),
    ("wasmi", "functions"),
    ("wasmparser", "functions"),
    ("apache-avro", "telemetry"),
];

/// Paths whose use is an effect. A path matches with everything below it.
pub(super) const PATHS: [(&str, &str); 17] = [
    ("std::net", "opens sockets; address types are in core::net"),
    ("std::fs", "opens files"),
    ("std::process", "starts or ends processes"),
    ("std::thread", "starts threads"),
    ("std::env", "reads the environment"),
    ("std::os", "is the operating system"),
    (
        "std::time::Instant",
        "is a clock; `machine::Instant` comes in as an argument",
    ),
    (
        "std::time::SystemTime",
        "is a clock; the time comes in as an argument",
    ),
    (
        "std::collections::HashMap",
        "iterates in another order each run; use BTreeMap",
    ),
    (
        "std::collections::HashSet",
        "iterates in another order each run; use BTreeSet",
    ),
    ("std::hash::RandomState", "draws entropy"),
    ("tokio", "is a runtime"),
    ("ractor", "is an actor runtime"),
    (
        "getrandom",
        "draws entropy; use the seeded generator handed in",
    ),
    (
        "rand::rng",
        "draws entropy; use the seeded generator handed in",
    ),
    (
        "rand::random",
        "draws entropy; use the seeded generator handed in",
    ),
    (
        "rand::thread_rng",
        "draws entropy; use the seeded generator handed in",
    ),
];

/// Words that are an effect wherever they come from (imported by whatever name).
pub(super) const WORDS: [(&str, &str); 8] = [
    ("async", "makes the caller bring a runtime"),
    ("await", "makes the caller bring a runtime"),
    ("SystemTime", "is a clock; the time comes in as an argument"),
    (
        "HashMap",
        "iterates in another order each run; use BTreeMap",
    ),
    (
        "HashSet",
        "iterates in another order each run; use BTreeSet",
    ),
    ("OsRng", "draws entropy; use the seeded generator handed in"),
    (
        "thread_rng",
        "draws entropy; use the seeded generator handed in",
    ),
    (
        "Instant::now",
        "reads a clock; `machine::Instant` comes in as an argument",
    ),
];
