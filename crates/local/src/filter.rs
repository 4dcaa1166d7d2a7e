//! Real packet loss: a filter on arriving packets that drops them before the IP layer sees them, so
//! that the sender hears nothing, as from a cut cable.
//!
//! The filter is a classic BPF program that `tc` hands to the kernel (`cls_bpf` in direct-action
//! mode, on a `clsact` queueing discipline). Unlike netem it needs nothing else of the kernel's
//! traffic control. A kernel without `cls_bpf` says so when the network is made, and the cluster is
//! then one on loopback: a fallback that drops at the sender, such as a blackhole route, tells the
//! sender at once what a cut cable never tells.

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

/// What a node does not hear.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Losses {
    /// Everything from these addresses.
    pub(crate) from: Vec<Ipv4Addr>,
    /// And this share of all the rest.
    pub(crate) percent: u8,
}

/// Drops IPv4 packets and ARP messages from the addresses named, since one that cannot be reached
/// would otherwise be learnt again through the cut, and then a share of everything.
fn program(losses: &Losses) -> Vec<Instruction> {
    let share = drop_share(losses.percent);
    // A cluster has 9 nodes; jumps reach 255 instructions.
    let count = u8::try_from(losses.from.len()).unwrap_or(u8::MAX);
    let behind = u8::try_from(share.len()).unwrap_or(u8::MAX);
    let mut program = Vec::new();
    if count > 0 {
        program.extend([
            (LOAD_HALF, 0, 0, ETHERNET_TYPE),
            (JUMP_EQUAL, 0, 2, TYPE_IPV4),
            (LOAD_WORD, 0, 0, IPV4_SOURCE),
            (JUMP, 0, 0, 2),
            (JUMP_EQUAL, 0, count + 1, TYPE_ARP),
            (LOAD_WORD, 0, 0, ARP_SENDER),
        ]);
    }
    for (index, address) in (0u8..).zip(&losses.from) {
        // On to the drop, which stands behind the last comparison, the share and the pass.
        let drop = count - index + behind;
        program.push((JUMP_EQUAL, drop, 0, u32::from(*address)));
    }
    program.extend(share);
    program.push((RETURN, 0, 0, PASS));
    program.push((RETURN, 0, 0, DROP));
    program
}

/// Goes on to the pass, or in a share of cases over it to the drop.
fn drop_share(percent: u8) -> Vec<Instruction> {
    if percent == 0 {
        return Vec::new();
    }
    let bound = u64::from(percent.min(100)) * (1 << 32) / 100;
    match u32::try_from(bound) {
        // A word is below the bound in that share of cases.
        Ok(bound) => vec![
            (LOAD_WORD, 0, 0, RANDOM),
            (JUMP_ABOVE_OR_EQUAL, 0, 1, bound),
        ],
        Err(_) => vec![(JUMP, 0, 0, 1)],
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

/// Makes room for the filter at `interface` in the namespace `space`; nothing is lost yet. Fails
/// where the kernel cannot lose packets.
pub(crate) fn prepare(space: &str, interface: &str) -> Result<(), ToolError> {
    tool::run(
        "tc",
        &format!("-n {space} qdisc add dev {interface} clsact"),
    )?;
    lose(space, interface, &Losses::default())
}

/// In the namespace `space`, `interface` loses this from now on, and nothing else. One program takes
/// the place of the other: no packet slips through in between.
pub(crate) fn lose(space: &str, interface: &str, losses: &Losses) -> Result<(), ToolError> {
    let code = written(&program(losses));
    let mut arguments = vec!["-n", space, "filter", "replace", "dev", interface];
    arguments.extend(["ingress", "pref", "1", "handle", "1", "protocol", "all"]);
    arguments.extend(["bpf", "da", "bytecode", &code]);
    tool::run_with("tc", &arguments)
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
    fn packets_of_the_named_are_dropped_and_of_all_others_a_share() {
        let address = |last| Ipv4Addr::new(198, 18, 0, last);
        for named in [vec![], vec![2], vec![2, 3], (2..=9).collect()] {
            for percent in [0, 25, 100] {
                let program = program(&Losses {
                    from: named.iter().copied().map(address).collect(),
                    percent,
                });
                let check = |frame: &[u8], cut: bool| {
                    for (random, below) in [(0, true), ((1 << 30) - 1, true), (1 << 30, false)] {
                        let lost = percent == 100 || (percent == 25 && below);
                        let expected = if cut || lost { DROP } else { PASS };
                        let found = verdict(&program, frame, random);
                        assert_eq!(found, expected, "{named:?}, {percent} %, {random}");
                    }
                };
                for last in 1..=12 {
                    for (kind, offset) in [(TYPE_IPV4, IPV4_SOURCE), (TYPE_ARP, ARP_SENDER)] {
                        check(&frame(kind, offset, address(last)), named.contains(&last));
                    }
                }
                // IPv6, whose bytes at that place mean something else.
                check(&frame(0x86dd, IPV4_SOURCE, address(2)), false);
            }
        }
    }

    #[test]
    fn a_program_is_written_as_tc_reads_it() {
        let half = Losses {
            from: Vec::new(),
            percent: 50,
        };
        assert_eq!(
            written(&program(&half)),
            "4,32 0 0 4294963256,53 0 1 2147483648,6 0 0 0,6 0 0 2"
        );
    }
}
