fn main() -> std::process::ExitCode {
    hoist::cli::main_for_targets(std::env::args_os().skip(1).collect()).into()
}
