//! What the quick start of README.md tells its readers to write and to type.

/// The blocks of one language in the section "Quick start", without their indentation.
fn blocks(language: &str) -> Vec<String> {
    let text = include_str!("../../README.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Quick start")).expect("a quick start");
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in section.lines() {
        let indent = line.len() - line.trim_start().len();
        match &mut block {
            None if line.trim() == format!("```{language}") => block = Some((indent, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(block.take().map(|(_, text)| text)),
            Some((indent, text)) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    found
}

/// `hoist/hoist.cfg`.
pub fn hoist_cfg() -> String {
    blocks("ini").into_iter().next().expect("hoist.cfg")
}

/// `hoist/checks.yaml`, as it is first, and as it is behind a load balancer.
pub fn checks() -> [String; 2] {
    blocks("yaml").try_into().expect("two versions of checks.yaml")
}

/// The commands, in their order.
pub fn commands() -> Vec<String> {
    let text = blocks("sh").concat();
    let commands: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(commands.iter().any(|command| command.starts_with("hoist deploy")), "{commands:?}");
    commands
}
