use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["deploy-local"] => ExitCode::from(hoist::local::serve(std::io::stdin(), std::io::stdout())),
        _ => ExitCode::from(2),
    }
}
