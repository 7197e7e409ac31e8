fn main() -> std::process::ExitCode {
    hoist::cli::main(std::env::args_os().skip(1).collect()).into()
}
