//! Model tests of `fsa`: the real rules against small, naive references, over random steps.
//!
//! A failure prints the seed and the shortest failing sequence found. `RULES_SEED=n` replays one seed,
//! `RULES_STEPS=n` sets the number of steps per model.

mod access;
mod delete;
mod driver;
mod lease;
mod locks;
mod notify;
mod share;
mod times;

/// Steps per model in a normal run: over a million together.
const STEPS: usize = 300_000;

#[test]
fn share_modes() {
    driver::run::<share::World>(STEPS);
}

#[test]
fn access_checks_and_inheritance() {
    driver::run::<access::Model>(STEPS);
}

#[test]
fn byte_range_locks() {
    driver::run::<locks::World>(STEPS);
}

#[test]
fn deletion_and_rename() {
    driver::run::<delete::World>(STEPS);
}

#[test]
fn change_notify() {
    driver::run::<notify::World>(STEPS);
}

#[test]
fn leases() {
    driver::run::<lease::World>(STEPS);
}

#[test]
fn times() {
    driver::run::<times::World>(STEPS);
}
