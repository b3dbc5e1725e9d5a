//! The log: standard error, filtered by `SMBGATE_LOG`.

use std::io::Write;

/// The environment variable with the filter (env_logger's syntax).
pub const VARIABLE: &str = "SMBGATE_LOG";

/// Starts logging. Under systemd each line carries its priority and no time, since the journal has its own.
pub fn init() {
    let env = env_logger::Env::new().filter_or(VARIABLE, "info,sled=warn,fuser=warn");
    let mut builder = env_logger::Builder::from_env(env);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format(|out, record| {
            let priority = match record.level() {
                log::Level::Error => 3,
                log::Level::Warn => 4,
                log::Level::Info => 6,
                log::Level::Debug | log::Level::Trace => 7,
            };
            for line in record.args().to_string().lines() {
                writeln!(out, "<{priority}>{line}")?;
            }
            Ok(())
        });
    } else {
        builder.format_target(false);
    }
    // A second start in one process (tests) keeps the first.
    let _ = builder.try_init();
}
