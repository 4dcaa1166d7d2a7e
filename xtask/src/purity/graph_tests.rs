use super::*;
use serde_json::json;

/// Metadata of a small workspace in which every pure crate exists; `edges` adds dependencies
/// (from, to, kind), `outside` packages that are no members.
fn metadata(edges: &[(&str, &str, Option<&str>)], outside: &[&str]) -> Metadata {
    let members: Vec<&str> = PURE
        .iter()
        .map(|krate| krate.name)
        .chain(["learn", "dds", "edge", "node"])
        .collect();
    let all: Vec<&str> = members.iter().chain(outside).copied().collect();
    let packages = all.iter().map(|name| {
        let targets = if *name == "node" {
            json!([{ "kind": ["bin"], "name": "glasshouse" }, { "kind": ["bin"], "name": "bench-mail" }])
        } else {
            json!([{ "kind": ["lib"], "name": name }])
        };
        json!({ "id": format!("id:{name}"), "name": name, "targets": targets })
    });
    let nodes = all.iter().map(|name| {
        let deps = edges.iter().filter(|(from, ..)| from == name).map(
            |(_, to, kind)| json!({ "pkg": format!("id:{to}"), "dep_kinds": [{ "kind": kind }] }),
        );
        json!({ "id": format!("id:{name}"), "deps": deps.collect::<Vec<_>>() })
    });
    let value = json!({
        "workspace_members": members.iter().map(|name| format!("id:{name}")).collect::<Vec<_>>(),
        "packages": packages.collect::<Vec<_>>(),
        "resolve": { "nodes": nodes.collect::<Vec<_>>() },
    });
    Metadata::parse(value.to_string().as_bytes()).unwrap()
}

fn check(edges: &[(&str, &str, Option<&str>)], outside: &[&str], expected: &[&str]) {
    assert_eq!(metadata(edges, outside).violations(), expected, "{edges:?}");
}

#[test]
fn allowed_arrows_pass() {
    check(
        &[
            ("telemetry", "machine", None),
            ("ledger", "tlog", None),
            ("custody", "openmls", None),
            ("openmls", "getrandom", None), // deeper down: allowed
            ("node", "tokio", None),        // the shell may
            ("learn", "tch", None),
        ],
        &["openmls", "getrandom", "tokio", "tch"],
        &[],
    );
}

#[test]
fn a_runtime_below_a_pure_crate_is_found_however_deep() {
    for name in NEVER_BELOW {
        let sentence =
            format!("pure crate tlog must not rest on {name}: tlog → harmless → deeper → {name}");
        check(
            &[
                ("tlog", "harmless", None),
                ("harmless", "deeper", None),
                ("deeper", name, None),
            ],
            &["harmless", "deeper", name],
            &[&sentence],
        );
        check(
            &[("tlog", name, None)],
            &[name],
            &[&format!(
                "pure crate tlog must not rest on {name}: tlog → {name}"
            )],
        );
    }
}

#[test]
fn what_only_builds_or_tests_a_crate_does_not_count() {
    check(
        &[
            ("wire", "tokio", Some("dev")),
            ("wire", "getrandom", Some("build")),
        ],
        &["tokio", "getrandom"],
        &[],
    );
}

#[test]
fn direct_entropy_is_found() {
    for name in NEVER_DIRECT {
        let sentence =
            format!("pure crate custody depends on {name}: entropy comes in as an input");
        check(&[("custody", name, None)], &[name], &[&sentence]);
    }
}

#[test]
fn domain_crates_do_not_know_each_other() {
    check(
        &[("federation", "telemetry", None)],
        &[],
        &[
            r#"pure crate federation depends on telemetry: of the house it may use ["machine", "wire"] only"#,
        ],
    );
    check(
        &[("machine", "node", None)],
        &[],
        &[r#"pure crate machine depends on node: of the house it may use [] only"#],
    );
}

#[test]
fn wrapped_libraries_have_one_owner() {
    check(
        &[("node", "tch", None)],
        &["tch"],
        &["crate node depends on tch: only learn may"],
    );
}

#[test]
fn a_pure_crate_that_vanished_is_noticed() {
    let mut metadata = metadata(&[], &[]);
    metadata.members.remove("id:tlog");
    assert_eq!(
        metadata.violations(),
        ["crate tlog is listed as pure but is not in the workspace"]
    );
}

#[test]
fn benchmarks_are_found_by_name() {
    let found = metadata(&[], &[]).binaries_with_prefix("bench-");
    assert_eq!(found, [("node".to_owned(), "bench-mail".to_owned())]);
}

#[test]
fn foreign_output_is_refused() {
    assert!(Metadata::parse(b"{}").is_err_and(|failure| failure.to_string().contains("version 1")));
    assert!(
        Metadata::parse(b"error").is_err_and(|failure| failure.to_string().contains("not JSON"))
    );
}
