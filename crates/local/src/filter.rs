//! Real packet loss: a filter on arriving packets that drops them before the IP layer sees them, so
//! that the sender hears nothing, as from a cut cable.
//!
//! The filter is a classic BPF program that `tc` hands to the kernel (`cls_bpf` in direct-action
//! mode, on a `clsact` queueing discipline). Unlike netem it needs nothing else of the kernel's
//! traffic control. Where the kernel has no `cls_bpf`, blackhole routes do it: those drop on the
//! sender's side, who then sees an error at once.

use crate::tool::{self, ToolError};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// One instruction: operation, jump if true, jump if false, operand (linux/filter.h).
type Instruction = (u16, u8, u8, u32);

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_ABOVE_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Verdicts of a filter in direct-action mode (linux/pkt_cls.h).
const PASS: u32 = 0;
const DROP: u32 = 2;
/// Offsets into an Ethernet frame: its type, IPv4's source address, ARP's sender address.
const ETHERNET_TYPE: u32 = 12;
const IPV4_SOURCE: u32 = 14 + 12;
const ARP_SENDER: u32 = 14 + 14;
const TYPE_IPV4: u32 = 0x0800;
const TYPE_ARP: u32 = 0x0806;
/// Pseudo-offset that loads a random word (SKF_AD_OFF + SKF_AD_RANDOM).
const RANDOM: u32 = 0xffff_f000 + 56;

/// Drops IPv4 packets and ARP messages from these addresses; an address that cannot be resolved
/// would otherwise be learnt again through the cut.
fn drop_from(addresses: &[Ipv4Addr]) -> Vec<Instruction> {
    // A cluster has 9 nodes; jumps reach 255 instructions.
    let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
    let mut program = vec![
        (LOAD_HALF, 0, 0, ETHERNET_TYPE),
        (JUMP_EQUAL, 0, 2, TYPE_IPV4),
        (LOAD_WORD, 0, 0, IPV4_SOURCE),
        (JUMP, 0, 0, 2),
        (JUMP_EQUAL, 0, count + 1, TYPE_ARP),
        (LOAD_WORD, 0, 0, ARP_SENDER),
    ];
    for (index, address) in (0u8..).zip(addresses) {
        // On to the drop, which stands behind the last comparison and the pass.
        program.push((JUMP_EQUAL, count - index, 0, u32::from(*address)));
    }
    program.push((RETURN, 0, 0, PASS));
    program.push((RETURN, 0, 0, DROP));
    program
}

/// Drops a share of everything.
fn drop_share(percent: u8) -> Vec<Instruction> {
    let bound = u64::from(percent.min(100)) * (1 << 32) / 100;
    match u32::try_from(bound) {
        // A word is below the bound in that share of cases.
        Ok(bound) => vec![
            (LOAD_WORD, 0, 0, RANDOM),
            (JUMP_ABOVE_OR_EQUAL, 0, 1, bound),
            (RETURN, 0, 0, PASS),
            (RETURN, 0, 0, DROP),
        ],
        Err(_) => vec![(RETURN, 0, 0, DROP)],
    }
}

/// As `tc` wants it: the length, then the instructions.
fn written(program: &[Instruction]) -> String {
    let mut text = program.len().to_string();
    for (operation, yes, no, operand) in program {
        let _ = write!(text, ",{operation} {yes} {no} {operand}");
    }
    text
}

fn clear(space: &str, interface: &str) {
    // There may be none.
    let _ = tool::run(
        "tc",
        &format!("-n {space} qdisc del dev {interface} clsact"),
    );
}

fn install(space: &str, interface: &str, program: &[Instruction]) -> Result<(), ToolError> {
    clear(space, interface);
    tool::run(
        "tc",
        &format!("-n {space} qdisc add dev {interface} clsact"),
    )?;
    let code = written(program);
    let mut arguments = vec!["-n", space, "filter", "add", "dev", interface, "ingress"];
    arguments.extend(["pref", "1", "bpf", "da", "bytecode", &code]);
    let outcome = tool::run_with("tc", &arguments);
    if outcome.is_err() {
        clear(space, interface);
    }
    outcome
}

/// The number of the routing protocol under which our blackholes stand, so that none but ours is
/// removed (rt_protos: 192 and up are free).
const MARK: &str = "proto 219";

/// In the namespace `space`, `interface` loses what comes from `addresses`; empty: nothing.
pub(crate) fn lose(space: &str, interface: &str, addresses: &[Ipv4Addr]) -> Result<(), ToolError> {
    clear(space, interface);
    // There may be none.
    let _ = tool::run(
        "ip",
        &format!("-n {space} route flush type blackhole {MARK}"),
    );
    if addresses.is_empty() || install(space, interface, &drop_from(addresses)).is_ok() {
        return Ok(());
    }
    addresses.iter().try_for_each(|address| {
        tool::run(
            "ip",
            &format!("-n {space} route add blackhole {address}/32 {MARK}"),
        )
    })
}

/// In the namespace `space`, `interface` loses `percent` of what arrives.
pub(crate) fn lose_share(space: &str, interface: &str, percent: u8) -> Result<(), ToolError> {
    if percent == 0 {
        clear(space, interface);
        return Ok(());
    }
    install(space, interface, &drop_share(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's machine for these programs, as far as they use it.
    fn verdict(program: &[Instruction], frame: &[u8], random: u32) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let (operation, yes, no, operand) = program[at];
            at += 1;
            let start = operand as usize;
            match operation {
                LOAD_WORD if operand == RANDOM => word = random,
                LOAD_WORD => {
                    word = u32::from_be_bytes(frame[start..start + 4].try_into().unwrap());
                }
                LOAD_HALF => {
                    word = u16::from_be_bytes(frame[start..start + 2].try_into().unwrap()).into();
                }
                JUMP => at += start,
                JUMP_EQUAL => at += usize::from(if word == operand { yes } else { no }),
                JUMP_ABOVE_OR_EQUAL => at += usize::from(if word >= operand { yes } else { no }),
                RETURN => return operand,
                other => panic!("{other}"),
            }
        }
    }

    fn frame(kind: u32, offset: u32, source: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0u8; 60];
        frame[12..14].copy_from_slice(&u16::try_from(kind).unwrap().to_be_bytes());
        let offset = offset as usize;
        frame[offset..offset + 4].copy_from_slice(&source.octets());
        frame
    }

    #[test]
    fn packets_of_the_named_are_dropped_and_all_others_pass() {
        let address = |last| Ipv4Addr::new(198, 18, 0, last);
        for named in [vec![2], vec![2, 3], (2..=9).collect()] {
            let program = drop_from(&named.iter().copied().map(address).collect::<Vec<_>>());
            for last in 1..=12 {
                for (kind, offset) in [(TYPE_IPV4, IPV4_SOURCE), (TYPE_ARP, ARP_SENDER)] {
                    let expected = if named.contains(&last) { DROP } else { PASS };
                    let found = verdict(&program, &frame(kind, offset, address(last)), 0);
                    assert_eq!(found, expected, "{last} of {named:?}, {kind:#x}");
                }
            }
            // IPv6, whose bytes at that place mean something else.
            let other = frame(0x86dd, IPV4_SOURCE, address(2));
            assert_eq!(verdict(&program, &other, 0), PASS);
        }
    }

    #[test]
    fn a_share_is_a_share_of_the_random_words() {
        let dropped = |percent, random| verdict(&drop_share(percent), &[], random) == DROP;
        assert!(dropped(25, 0) && dropped(25, (1 << 30) - 1));
        assert!(!dropped(25, 1 << 30) && !dropped(25, u32::MAX));
        assert!(dropped(100, u32::MAX));
        assert!(!dropped(0, 0));
    }

    #[test]
    fn a_program_is_written_as_tc_reads_it() {
        assert_eq!(
            written(&drop_share(50)),
            "4,32 0 0 4294963256,53 0 1 2147483648,6 0 0 0,6 0 0 2"
        );
    }
}
