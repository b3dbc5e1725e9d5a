//! The system calls, and the only unsafe code of the house. Thin: arguments in, `Errno` out, no policy.
//!
//! What `rustix` covers safely is called through it; what it does not (fsuid, `faccessat2` by empty path,
//! `getxattrat`, `getdents64` into an owned buffer, file handles) is made here by hand.
#![allow(unsafe_code)]

pub mod creds;
