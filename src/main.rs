//! The binary.

fn main() -> std::process::ExitCode {
    smbgate::cli::main()
}
