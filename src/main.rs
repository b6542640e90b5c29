//! The program `dotsops`.

fn main() -> std::process::ExitCode {
    dotsops::cli::run(std::env::args_os())
}
