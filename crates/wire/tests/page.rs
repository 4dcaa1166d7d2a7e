//! `docs/dds-types.md` is made of `crates/dds/idl/payload.idl`. With `GLASSHOUSE_WRITE_PAGE=1` the test writes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const HEAD: &str = "# Types on the data space\n\n\
    Made of `crates/dds/idl/payload.idl` by `GLASSHOUSE_WRITE_PAGE=1 cargo test -p wire --test page`; a test fails when it is\n\
    stale. These types are what a sealed sample holds, in XCDR2 ([data-space.md](data-space.md) says how it is sealed).\n\
    All are appendable: a reader passes over members that it does not know. **Key** members are bold.\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `@key string device;  // [unit] meaning`.
fn row(line: &str) -> Option<String> {
    let (declaration, comment) = line.split_once("// [")?;
    let (unit, meaning) = comment.split_once("] ")?;
    let declaration = declaration.trim().strip_suffix(';')?;
    let (kind, member) = declaration.rsplit_once(' ')?;
    let (kind, member) = match kind.strip_prefix("@key ") {
        Some(kind) => (kind, format!("**{member}**")),
        None => (kind, member.to_owned()),
    };
    let kind = match kind.strip_prefix("@optional ") {
        Some(kind) => format!("`{kind}`, optional"),
        None => format!("`{kind}`"),
    };
    Some(format!("| {member} | {kind} | {unit} | {meaning} |"))
}

fn page(idl: &str) -> String {
    let mut page = HEAD.to_owned();
    let mut about: Vec<&str> = Vec::new();
    let (_, types) = idl.split_once("module glasshouse {").expect("the module");
    for line in types.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("// ") {
            about.push(comment);
        } else if let Some(rest) = line.strip_prefix("enum ") {
            let (name, items) = rest.split_once(" { ").expect("an enumeration on a line");
            let items = items.trim_end_matches(" };");
            write!(
                page,
                "\n## {name}\n{} In order from 0: {items}.\n",
                about.join(" ")
            )
            .expect("a string");
            about.clear();
        } else if let Some(name) = line.strip_prefix("struct ") {
            let name = name.trim_end_matches(" {");
            write!(
                page,
                "\n## {name}\n{}\n\n| member | type | unit | meaning |\n|---|---|---|---|\n",
                about.join(" ")
            )
            .expect("a string");
            about.clear();
        } else if let Some(row) = row(line) {
            page.push_str(&row);
            page.push('\n');
        }
    }
    page
}

#[test]
fn the_page_of_types_is_what_the_idl_says() {
    let idl = std::fs::read_to_string(root().join("crates/dds/idl/payload.idl")).expect("the IDL");
    let members = idl.lines().filter(|line| line.contains("// [")).count();
    let expected = page(&idl);
    let rows = expected
        .lines()
        .filter(|line| line.starts_with("| "))
        .count();
    let types = expected.matches("| member |").count();
    assert_eq!(rows - types, members, "every member has a row");
    let path = root().join("docs/dds-types.md");
    if std::env::var_os("GLASSHOUSE_WRITE_PAGE").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is stale; `GLASSHOUSE_WRITE_PAGE=1 cargo test -p wire --test page` writes it",
        path.display()
    );
}
