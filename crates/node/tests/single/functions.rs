//! A format that an operator brings as WebAssembly, on a real node and on the command line.

use crate::house::House;

const FUNCTION: &str = include_str!("../../../functions/tests/temperature.wat");

fn letter(id: u32, text: &str) -> Vec<u8> {
    format!(
        "From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <{id}@sensor>\r\n\
         Subject: rack 7\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

fn said(output: &std::process::Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_function_reads_mail_that_no_format_knows() {
    let mut house = House::build("");
    let formats = house.path("formats");
    std::fs::create_dir(&formats).unwrap();
    let module = formats.join("rack-sensor.wasm");
    std::fs::write(&module, wat::parse_str(FUNCTION).unwrap()).unwrap();
    let text = std::fs::read_to_string(&house.config).unwrap();
    let text = text.replace("[mailbox]\n", "[mailbox]\nformats = \"formats\"\n");
    std::fs::write(&house.config, text).unwrap();

    // What it would make of a mail, before there is a node.
    let sample = house.path("sample.eml");
    std::fs::write(&sample, letter(1, "Temperature: 21.5 C")).unwrap();
    let (module, sample) = (module.to_str().unwrap(), sample.to_str().unwrap());
    let tried = house.glasshouse(&["format", "test", module, sample]);
    assert!(tried.status.success(), "{}", said(&tried));
    assert!(
        said(&tried).contains("temperature = 21.5 Cel"),
        "{}",
        said(&tried)
    );
    let broken = house.path("broken.wasm");
    std::fs::write(&broken, b"\0asm\x01\0\0\0\x0a\x7f").unwrap();
    let refused = house.glasshouse(&["format", "test", broken.to_str().unwrap(), sample]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("broken.wasm"), "{}", said(&refused));

    house.start();
    house
        .mail("ups-1@hall.example", &letter(2, "Temperature: 23.25 C"))
        .unwrap();
    let status = house.until("its reading is there", |status| {
        status.dds.received >= 1 && status.ledger.mails == 1
    });
    assert_eq!(
        status.mail.formats["rack-sensor"].read, 1,
        "{:?}",
        status.mail.formats
    );
    // One that says it does not know, one that never comes to an end, and one that is not its own: set aside
    // with the reason, and the node goes on.
    for (id, text) in [(3, "Temperature: ?"), (4, "Temperature: !"), (5, "nothing")] {
        house.mail("ups-1@hall.example", &letter(id, text)).unwrap();
    }
    house.until("they are set aside", |status| status.mail.quarantined >= 3);
    let config = house.config.to_str().unwrap().to_owned();
    let listed = said(&house.glasshouse(&["quarantine", "list", "--config", &config]));
    for reason in [
        "the sensor does not know",
        "used up its fuel",
        "no known format",
    ] {
        assert!(listed.contains(reason), "{reason}: {listed}");
    }
    house
        .mail("ups-1@hall.example", &letter(6, "Temperature: 24 C"))
        .unwrap();
    house.until("and the next is read", |status| status.dds.received >= 2);
}
