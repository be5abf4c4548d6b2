//! The binary: hands everything to the library.

fn main() -> std::process::ExitCode {
    // Several libraries bring TLS; whichever comes first would choose its implementation.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return std::process::ExitCode::FAILURE;
    }
    telectl::cli::main()
}
