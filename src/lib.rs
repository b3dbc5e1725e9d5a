//! smbgate: a userspace SMB3 server that exports an existing Linux path.
//!
//! The layers, top to bottom. A module uses only what stands below it; `tests/house.rs` checks it.
//!
//! ```text
//!   cli        argv -> one file per subcommand
//!   daemon     start order, stop order, reload, control socket, status
//!   server     accept, dispatch table, compound chain, pending/cancel, effects to the wire
//!   view       the local FUSE mount: announces before it acts; mirrors our changes into the kernel's cache
//!   cmd        one file per SMB2 command
//!   durable    handles that survive their connection: who gets one, who gets it back
//!   session    sessions, trees, opens, shares and their workers
//!   watch      changes that are not ours: kernel events, polling
//!   conn       one connection: reader, writer, credits, requests under way
//!   rpc        named pipes: srvsvc, wkssvc, lsarpc, samr
//!   posix      the exported path
//!   fsa        the rules of MS-FSA: (state, event, now) -> effects
//!   config     TOML settings; the user database
//!   auth       SPNEGO, NTLM, Kerberos, identity
//!   crypto     preauth hash, KDF, signing, sealing
//!   wire       bytes <-> values
//!   sys        the only unsafe
//!   types      ids, NtStatus, access masks, times
//! ```
//!
//! A request goes `conn::reader` -> `server::chain` -> `server::dispatch` -> `cmd::*` -> `fsa` + `posix`
//! -> `wire` -> `conn::writer`. Everything that can reach the exported path runs on that export's own
//! workers (`server::workers`); the reactor never blocks.

#![deny(unsafe_code)]

pub mod types;

pub mod sys;

pub mod wire;

pub mod crypto;

pub mod auth;

pub mod config;

pub mod fsa;

pub mod posix;

pub mod rpc;

pub mod conn;

pub mod watch;

pub mod session;

pub mod durable;

pub mod cmd;

pub mod view;

pub mod server;

pub mod daemon;

pub mod cli;
