//! The fuzz target's entry over its stored corpus, as it is and changed.

/// Changed copies of each file; most are refused at their first broken section.
const COPIES: u64 = 500;

#[test]
fn stored_and_changed_modules_hold() {
    corpus::replay("function_module", COPIES, functions::harness::module);
}

/// What the fuzzer starts from is mostly good, or it would learn how to be refused.
#[test]
fn stored_modules_are_functions() {
    for file in corpus::files("function_module") {
        let name = file.path.file_name().and_then(|name| name.to_str());
        let is_good = !matches!(
            name,
            Some("import" | "start" | "code-section-beyond-the-end" | "goes-on-behind-its-end")
        );
        assert_eq!(
            functions::Function::load(&file.bytes).is_ok(),
            is_good,
            "{name:?}"
        );
    }
}
