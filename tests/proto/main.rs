//! Scripted protocol tests: what a raw client sends, byte for byte, and what has to come back. Each test has a server
//! of its own.

mod client;
#[path = "../common/mod.rs"]
mod common;

mod before_logon;
mod cancel;
mod channels;
mod clock;
mod coherence;
mod compound;
mod credits;
mod damage;
mod disk_full;
mod durable;
mod fsctl;
mod killed;
mod leases;
mod local_locks;
mod logon;
mod names;
mod negotiate;
mod outside;
mod persistent;
mod pipes;
mod power_cut;
mod reconnect;
mod rename;
mod replay;
mod resilient;
mod restart;
mod sealing;
mod signing;
mod streams;
mod symlinks;
mod times;
mod transfer;
mod validate;
mod view;
mod view_posix;

use client::{Client, Offer};
use common::{PASSWORD, Server, USER};

impl Server {
    /// Connected, and nothing more.
    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Logged on, connected to `share`.
    fn client(&self) -> Client {
        self.client_with(&Offer::default())
    }

    fn client_with(&self, offer: &Offer) -> Client {
        Client::ready(self.address, offer, USER, PASSWORD, "share")
    }
}
