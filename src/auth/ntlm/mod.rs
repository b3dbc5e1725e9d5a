//! NTLM, version 2 only (MS-NLMP).

pub mod keys;
pub mod message;
mod server;

pub use server::NtlmServer;
