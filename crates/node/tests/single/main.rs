//! A house of one node, as its users see it: its mailbox, its command line, its files.

mod at_rest;
mod bad_input;
mod data_space;
mod functions;
mod gear;
mod house;
mod kafka;
mod registry;
