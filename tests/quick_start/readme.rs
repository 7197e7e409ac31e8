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

/// What is added to it behind a load balancer.
pub fn drain_keys() -> String {
    blocks("ini").into_iter().nth(1).expect("keys for hosts behind a load balancer")
}

/// `hoist/checks.yaml`.
pub fn checks() -> String {
    blocks("yaml").into_iter().next().expect("checks.yaml")
}

/// The commands, in their order.
pub fn commands() -> Vec<String> {
    let text = blocks("sh").concat();
    let commands: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(commands.iter().any(|command| command.starts_with("hoist deploy")), "{commands:?}");
    commands
}

/// The literal blocks of a section of hoist.cfg(5).
pub fn blocks_of_the_manual(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../../man/hoist.cfg.5");
    let (_, rest) = page.split_once(&format!("\n.Ss {heading}\n")).expect("a section");
    let section = rest.split("\n.S").next().unwrap_or_default();
    let blocks = section.split(".Bd -literal -offset indent\n").skip(1);
    blocks.map(|block| block.split(".Ed").next().unwrap_or_default()).collect()
}
