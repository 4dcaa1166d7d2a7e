//! Modules that are wrong, greedy or hostile: each ends in its reason, in bounded time and memory.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use functions::{
    Answer, CallError, FUEL, Function, LoadError, MAX_INPUT_BYTES, MAX_MEMORY_BYTES,
    MAX_MODULE_BYTES, MAX_OUTPUT_BYTES,
};

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A module with the interface: memory of one page, room for the input at 1024, `decode` as given.
fn with_decode(decode: &str) -> Vec<u8> {
    with(decode, "i32.const 1024")
}

fn with(decode: &str, alloc: &str) -> Vec<u8> {
    module(&format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) {alloc})
            (func (export "decode") (param i32 i32) (result i64) {decode}))"#
    ))
}

fn called(bytes: &[u8], input: &[u8]) -> Result<Answer, CallError> {
    Function::load(bytes).unwrap().call(input)
}

fn refused(bytes: &[u8]) -> LoadError {
    Function::load(bytes).unwrap_err()
}

/// Gives back its input.
const ECHO: &str = "(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))";

#[test]
fn a_good_one_answers_the_same_every_time() {
    let function = Function::load(&with_decode(ECHO)).unwrap();
    let first = function.call(b"a mail").unwrap();
    assert_eq!(first.output, b"a mail");
    assert_eq!(first.memory, 64 << 10);
    assert!(0 < first.fuel && first.fuel < 100, "{}", first.fuel);
    for _ in 0..10 {
        assert_eq!(function.call(b"a mail"), Ok(first.clone()));
    }
    assert_eq!(function.call(b"").unwrap().output, b"");
}

#[test]
fn nothing_is_left_over_for_the_next_call() {
    let counts = r#"(module
        (memory (export "memory") 1)
        (global $calls (mut i32) (i32.const 48))
        (func (export "alloc") (param i32) (result i32) i32.const 1024)
        (func (export "decode") (param i32 i32) (result i64)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (global.get $calls)))
            (i64.const 1)))"#;
    let function = Function::load(&module(counts)).unwrap();
    for _ in 0..3 {
        assert_eq!(function.call(b"").unwrap().output, b"1");
    }
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let endless = with_decode("(loop $on (br $on)) i64.const 0");
    assert_eq!(
        called(&endless, b""),
        Err(CallError::OutOfFuel { fuel: FUEL })
    );
    let in_alloc = with("i64.const 0", "(loop $on (br $on)) i32.const 0");
    assert_eq!(
        called(&in_alloc, b""),
        Err(CallError::OutOfFuel { fuel: FUEL })
    );
    // One instruction that works for a megabyte is paid by the byte, and cannot hide in a loop.
    let fills = with_decode(
        "(drop (memory.grow (i32.const 200)))
         (loop $on (memory.fill (i32.const 0) (i32.const 7) (i32.const 13000000)) (br $on)) i64.const 0",
    );
    assert_eq!(
        called(&fills, b""),
        Err(CallError::OutOfFuel { fuel: FUEL })
    );
}

#[test]
fn memory_is_bounded() {
    let pages = MAX_MEMORY_BYTES / 65_536;
    let bomb = with_decode("(loop $on (drop (memory.grow (i32.const 1))) (br $on)) i64.const 0");
    assert_eq!(called(&bomb, b""), Err(CallError::OutOfMemory));
    let at_once = with_decode("(drop (memory.grow (i32.const 65535))) i64.const 0");
    assert_eq!(called(&at_once, b""), Err(CallError::OutOfMemory));
    let all = with_decode(&format!(
        "(drop (memory.grow (i32.const {}))) i64.const 0",
        pages - 1
    ));
    assert_eq!(called(&all, b"").unwrap().memory, MAX_MEMORY_BYTES);
    let from_the_start = |pages: usize| {
        module(&format!(
            r#"(module
                (memory (export "memory") {pages})
                (func (export "alloc") (param i32) (result i32) i32.const 0)
                (func (export "decode") (param i32 i32) (result i64) i64.const 0))"#
        ))
    };
    assert!(Function::load(&from_the_start(pages)).is_ok());
    let problem = CallError::OutOfMemory;
    assert_eq!(
        refused(&from_the_start(pages + 1)),
        LoadError::Start { problem }
    );
}

#[test]
fn tables_are_bounded() {
    let table = |size: usize| {
        module(&format!(
            r#"(module
                (table {size} funcref)
                (memory (export "memory") 1)
                (func (export "alloc") (param i32) (result i32) i32.const 0)
                (func (export "decode") (param i32 i32) (result i64) i64.const 0))"#
        ))
    };
    assert!(Function::load(&table(20_000)).is_ok());
    assert!(matches!(
        refused(&table(20_001)),
        LoadError::Start { .. } | LoadError::Invalid { .. }
    ));
    let many = r#"(module (memory 1) (memory 1))"#;
    assert!(matches!(refused(&module(many)), LoadError::Invalid { .. }));
}

#[test]
fn recursion_is_bounded() {
    let recursive = module(
        r#"(module
            (memory (export "memory") 1)
            (func $deeper (param i32) (result i32)
                (i32.add (call $deeper (local.get 0)) (i32.const 1)))
            (func (export "alloc") (param i32) (result i32) i32.const 1024)
            (func (export "decode") (param i32 i32) (result i64)
                (i64.extend_i32_u (call $deeper (i32.const 0)))))"#,
    );
    assert_eq!(called(&recursive, b""), Err(CallError::StackOverflow));
}

#[test]
fn pointers_are_not_believed() {
    let packed = |pointer: u64, length: u64| {
        with_decode(&format!("i64.const {}", ((pointer << 32) | length) as i64))
    };
    let page = 65_536;
    assert_eq!(called(&packed(page - 3, 3), b"").unwrap().output, [0; 3]);
    assert_eq!(called(&packed(page, 0), b"").unwrap().output, b"");
    for (pointer, length) in [
        (page - 2, 3),
        (page + 1, 0),
        (0xffff_ffff, 16),
        (0xffff_ffff, 1),
    ] {
        let outside = called(&packed(pointer, length), b"");
        let expected = CallError::OutputOutside {
            pointer: pointer as u32,
            length: length as u32,
            memory: page as usize,
        };
        assert_eq!(outside, Err(expected), "{pointer} {length}");
    }
    for alloc in ["i32.const 65530", "i32.const -1", "i32.const 65537"] {
        let outside = called(&with("i64.const 0", alloc), b"seven b");
        assert!(
            matches!(outside, Err(CallError::InputOutside { length: 7, .. })),
            "{alloc}"
        );
    }
}

#[test]
fn output_and_input_are_bounded() {
    let huge = |length: usize| {
        with_decode(&format!(
            "(drop (memory.grow (i32.const 100))) i64.const {length}"
        ))
    };
    let output = called(&huge(MAX_OUTPUT_BYTES), b"").unwrap().output;
    assert_eq!(output.len(), MAX_OUTPUT_BYTES);
    let bytes = MAX_OUTPUT_BYTES as u32 + 1;
    assert_eq!(
        called(&huge(bytes as usize), b""),
        Err(CallError::OutputTooLarge { bytes })
    );
    let bytes = MAX_INPUT_BYTES + 1;
    assert_eq!(
        called(&with_decode(ECHO), &vec![0; bytes]),
        Err(CallError::InputTooLarge { bytes })
    );
}

#[test]
fn nothing_is_imported_and_nothing_starts_by_itself() {
    let wasi = module(
        r#"(module
            (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) i32.const 0)
            (func (export "decode") (param i32 i32) (result i64) i64.const 0))"#,
    );
    let sentence = refused(&wasi).to_string();
    assert!(
        sentence.contains("imports `wasi_snapshot_preview1.clock_time_get`"),
        "{sentence}"
    );
    let starts = module(
        r#"(module
            (memory (export "memory") 1)
            (func $begin (loop $on (br $on)))
            (start $begin)
            (func (export "alloc") (param i32) (result i32) i32.const 0)
            (func (export "decode") (param i32 i32) (result i64) i64.const 0))"#,
    );
    let sentence = refused(&starts).to_string();
    assert!(sentence.contains("start function"), "{sentence}");
}

#[test]
fn the_interface_is_asked_for() {
    let without = |memory: &str, alloc: &str, decode: &str| {
        module(&format!("(module (memory {memory} 1) {alloc} {decode})"))
    };
    const MEMORY: &str = "(export \"memory\")";
    const ALLOC: &str = "(func (export \"alloc\") (param i32) (result i32) i32.const 0)";
    const DECODE: &str = "(func (export \"decode\") (param i32 i32) (result i64) i64.const 0)";
    let narrow = "(func (export \"decode\") (param i32 i32) (result i32) i32.const 0)";
    assert!(Function::load(&without(MEMORY, ALLOC, DECODE)).is_ok());
    for (bytes, wanted) in [
        (without("", ALLOC, DECODE), "`memory`"),
        (without(MEMORY, "", DECODE), "`alloc("),
        (without(MEMORY, ALLOC, ""), "`decode("),
        (without(MEMORY, ALLOC, narrow), "`decode("),
    ] {
        let sentence = refused(&bytes).to_string();
        assert!(sentence.contains(wanted), "{wanted}: {sentence}");
    }
}

#[test]
fn what_is_no_module_is_refused() {
    let good = with_decode(ECHO);
    assert!(matches!(refused(b""), LoadError::Invalid { .. }));
    assert!(matches!(refused(b"(module)"), LoadError::Invalid { .. }));
    for length in 8..good.len() {
        assert!(Function::load(&good[..length]).is_err(), "{length}");
    }
    assert!(matches!(
        refused(&vec![0; MAX_MODULE_BYTES + 1]),
        LoadError::TooLarge { .. }
    ));
    let outside = module(
        r#"(module (memory (export "memory") 1) (data (i32.const 65535) "two")
            (func (export "alloc") (param i32) (result i32) i32.const 0)
            (func (export "decode") (param i32 i32) (result i64) i64.const 0))"#,
    );
    assert!(matches!(refused(&outside), LoadError::Start { .. }));
    // Proposals that change what a number is, or that compilers do not emit.
    for text in [
        "(module (memory i64 1))",
        "(module (func (result v128) (v128.const i64x2 0 0)))",
        "(module (func $f (return_call $f)))",
        "(module (memory 1 1 shared))",
    ] {
        assert!(
            matches!(refused(&module(text)), LoadError::Invalid { .. }),
            "{text}"
        );
    }
}

#[test]
fn traps_are_told() {
    let table = [
        ("unreachable", "unreachable"),
        ("(i64.div_u (i64.const 1) (i64.const 0))", "zero"),
        ("(i64.load (i32.const 65535))", "out of bounds"),
    ];
    for (decode, told) in table {
        let error = called(&with_decode(decode), b"").unwrap_err();
        assert!(matches!(error, CallError::Trap { .. }));
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// The bits of a NaN are what machines differ in: those that a computation gives are made the same.
#[test]
fn every_computed_nan_has_the_same_bits() {
    let stored = |value: &str| {
        let decode = format!("(f64.store (i32.const 0) {value}) i64.const 8");
        let output = called(&with_decode(&decode), b"").unwrap().output;
        u64::from_le_bytes(output.try_into().unwrap())
    };
    const CANONICAL: u64 = 0x7ff8_0000_0000_0000;
    let payload = "(f64.reinterpret_i64 (i64.const 0xfff4000000000001))";
    for value in [
        "(f64.div (f64.const 0) (f64.const 0))",
        "(f64.sub (f64.const inf) (f64.const inf))",
        "(f64.mul (f64.const inf) (f64.const 0))",
        "(f64.sqrt (f64.const -1))",
        &format!("(f64.add {payload} (f64.const 1))"),
        &format!("(f64.min {payload} (f64.const 1))"),
        &format!("(f64.ceil {payload})"),
        &format!("(f64.promote_f32 (f32.demote_f64 {payload}))"),
    ] {
        assert_eq!(stored(value), CANONICAL, "{value}");
    }
    assert_eq!(
        stored("(f64.add (f64.const 0.1) (f64.const 0.2))"),
        0.300_000_000_000_000_04_f64.to_bits()
    );
}

#[test]
fn fuel_is_said_and_bounded() {
    let turns = |turns: u32| {
        with_decode(&format!(
            "(local i32) (local.set 2 (i32.const {turns}))
             (loop $on (br_if $on (local.tee 2 (i32.sub (local.get 2) (i32.const 1))))) i64.const 0"
        ))
    };
    let fuel = |turns_made| called(&turns(turns_made), b"").unwrap().fuel;
    let (few, many) = (fuel(1_000), fuel(1_000_000));
    assert!(many > 500 * few && many < FUEL, "{few} {many}");
}
