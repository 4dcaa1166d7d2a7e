//! A function that does something, written by hand.

use functions::{CallError, FUEL, Function, MAX_INPUT_BYTES};

#[test]
fn it_reads_what_is_its_own() {
    let function =
        Function::load(&wat::parse_str(include_str!("temperature.wat")).unwrap()).unwrap();
    let said = |letter: &str| {
        let answer = function.call(letter.as_bytes()).unwrap();
        String::from_utf8(answer.output).unwrap()
    };
    assert_eq!(
        said(r#"{"parts":[{"text":"Hall 1\nTemperature: -21.5 C\n"}]}"#),
        r#"{"reports":[{"readings":[{"name":"temperature","value":-21.5,"unit":"Cel"}]}]}"#
    );
    assert_eq!(
        said("Temperature: ? "),
        r#"{"error":"the sensor does not know"}"#
    );
    assert_eq!(said("Temperatur: 3"), "");
    assert_eq!(said(""), "");
    assert_eq!(
        function.call(b"Temperature: ! "),
        Err(CallError::OutOfFuel { fuel: FUEL })
    );
    // As large as a letter may be: fuel is enough to look at every byte of it.
    let large = "x".repeat(MAX_INPUT_BYTES - 17) + "Temperature: 4567";
    assert!(said(&large).contains(":4567,"));
    assert!(function.call(large.as_bytes()).unwrap().fuel > MAX_INPUT_BYTES as u64);
}
