//! RCPT: who is at home, and relaying in all its disguises.

use super::Rest::Once;
use super::{Case, SENDER, same};

pub(super) const TABLE: &[Case] = &[
    same("RCPT in odd case", SENDER, Once(b"rCpT tO:<telemetry@house.example>\r\n"), ("2", 0)),
    same("RCPT without TO", SENDER, Once(b"RCPT\r\n"), ("5", 0)),
    same("RCPT to nobody", SENDER, Once(b"RCPT TO:<>\r\n"), ("5", 0)),
    same("RCPT to the postmaster", SENDER, Once(b"RCPT TO:<postmaster>\r\n"), ("2", 0)),
    same("RCPT to the postmaster in capitals", SENDER, Once(b"RCPT TO:<POSTMASTER@HOUSE.EXAMPLE>\r\n"), ("2", 0)),
    same("RCPT to elsewhere", SENDER, Once(b"RCPT TO:<t@elsewhere.example>\r\n"), ("5", 0)),
    same("RCPT with a source route", SENDER, Once(b"RCPT TO:<@relay.example:telemetry@house.example>\r\n"), ("2", 0)),
    same("RCPT by percent to elsewhere", SENDER, Once(b"RCPT TO:<t%elsewhere.example@house.example>\r\n"), ("5", 0)),
    same("RCPT by bang to elsewhere", SENDER, Once(b"RCPT TO:<elsewhere.example!t@house.example>\r\n"), ("5", 0)),
    same("RCPT with a quoted path to elsewhere", SENDER, Once(b"RCPT TO:<\"t@elsewhere.example\"@house.example>\r\n"), ("5", 0)),
    same("RCPT with DSN's parameters", SENDER, Once(b"RCPT TO:<telemetry@house.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;t@h.example\r\n"), ("2", 0)),
    same("RCPT with NOTIFY=NEVER and more", SENDER, Once(b"RCPT TO:<telemetry@house.example> NOTIFY=NEVER,DELAY\r\n"), ("5", 0)),
    same("RCPT with an unknown parameter", SENDER, Once(b"RCPT TO:<telemetry@house.example> XFOO=1\r\n"), ("5", 0)),
    same("RCPT without a domain", SENDER, Once(b"RCPT TO:<telemetry>\r\n"), ("5", 0)),
    same("RCPT without brackets", SENDER, Once(b"RCPT TO:telemetry@house.example\r\n"), ("5", 0)),
    same("RCPT with a quoted local part", SENDER, Once(b"RCPT TO:<\"telemetry\"@house.example>\r\n"), ("2", 0)),
];
