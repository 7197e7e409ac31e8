use super::*;
use crate::config::Note;
use crate::targets::{Group, HostPattern};

fn listed(groups: &[Group]) -> Vec<(String, Vec<String>)> {
    let names = |group: &Group| group.targets.iter().map(ToString::to_string).collect();
    groups.iter().map(|group| (group.name.clone(), names(group))).collect()
}

fn limited(repo: &Repo, pattern: &str) -> anyhow::Result<(Vec<Group>, Vec<Note>)> {
    repo.config().groups(Some(&pattern.parse::<HostPattern>().unwrap()))
}

fn two_groups() -> Repo {
    let lines = "server_groups: canary, default\ncanary_dsh_targets: few\ndsh_targets: all\nfailure_limit: 50%\n";
    let repo = Repo::configured(lines);
    repo.write("hoist/few", "web3\nweb1\n");
    repo.write("hoist/all", "web2\nweb1 # again\nweb4\nweb2\nweb3\nweb5\n");
    repo
}

#[test]
fn a_target_belongs_to_the_group_that_lists_it_first_and_keeps_the_order_of_the_file() {
    let (groups, notes) = two_groups().config().groups(None).unwrap();
    assert_eq!(
        listed(&groups),
        [
            ("canary".into(), vec!["web3".into(), "web1".into()]),
            ("default".into(), vec!["web2".into(), "web4".into(), "web5".into()]),
        ]
    );
    assert!(notes.contains(&(Level::Debug, "web1 is also listed in group default: it belongs to group canary".into())));
    assert_eq!(groups[1].limit.resolved(groups[1].targets.len()), "50% of 3 = 1");
}

#[test]
fn an_empty_group_is_left_out_with_a_note() {
    let repo = two_groups();
    repo.write("hoist/few", "# nobody\n");
    let (groups, notes) = repo.config().groups(None).unwrap();
    assert_eq!(groups.len(), 1);
    assert!(notes.contains(&(Level::Warning, "group canary is empty: skipped".into())), "{notes:?}");
    repo.write("hoist/few", "web1\nweb2\n");
    repo.write("hoist/all", "web2\nweb1\n");
    let (groups, notes) = repo.config().groups(None).unwrap();
    assert_eq!(groups.len(), 1);
    let why = "group default is skipped: all its hosts belong to earlier groups";
    assert!(notes.contains(&(Level::Warning, why.into())), "{notes:?}");
}

#[test]
fn no_target_at_all_is_an_error() {
    let repo = two_groups();
    repo.write("hoist/few", "");
    repo.write("hoist/all", "");
    let error = chain(repo.config().groups(None));
    assert!(error.starts_with("no targets: no host is listed for canary, default"), "{error}");
}

#[test]
fn a_group_without_a_target_file_is_an_error_even_where_the_bare_key_is_set() {
    let repo = Repo::configured("server_groups: canary, default\ndsh_targets: all\n");
    repo.write("hoist/all", "web1\n");
    let error = chain(repo.config().groups(None));
    assert_eq!(
        error,
        "hoist/hoist.cfg:3: server_groups in [global]: group canary has no target file: set canary_dsh_targets in \
         hoist/hoist.cfg, or name other groups"
    );
}

#[test]
fn a_group_whose_key_is_empty_is_skipped_with_a_note() {
    let repo = two_groups();
    repo.write("hoist/environments/beta/hoist.cfg", "[global]\ncanary_dsh_targets:\n");
    let (groups, notes) = repo.environment("beta").config().groups(None).unwrap();
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["default"]);
    let why = "group canary is skipped: canary_dsh_targets is empty (hoist/environments/beta/hoist.cfg:2 [global])";
    assert!(notes.contains(&(Level::Warning, why.into())), "{notes:?}");
    let error = chain(Repo::configured("dsh_targets:\n").config().groups(None));
    assert!(error.starts_with("no targets"), "{error}");
}

#[test]
fn an_indented_line_of_a_target_file_is_no_target_and_is_told() {
    let repo = two_groups();
    repo.write("hoist/few", "web3\n  web1\n");
    let (groups, notes) = repo.config().groups(None).unwrap();
    assert_eq!(listed(&groups)[0].1, ["web3"]);
    let why = "hoist/few:2: \"web1\" is ignored because its line is indented: remove the indentation";
    assert!(notes.contains(&(Level::Warning, why.into())), "{notes:?}");
}

#[test]
fn a_target_file_that_is_missing_or_bad_is_told_with_the_key_that_names_it() {
    let repo = two_groups();
    fs::remove_file(repo.top().join("hoist/few")).unwrap();
    let error = chain(repo.config().groups(None));
    let start = "hoist/hoist.cfg:4: canary_dsh_targets in [global]: the target file of group canary: no target file";
    assert!(error.starts_with(start), "{error}");
    assert!(error.ends_with("looked for hoist/few, /etc/dsh/group/few"), "{error}");
    repo.write("hoist/few", "web1\n-x\n");
    let error = chain(repo.config().groups(None));
    assert!(error.contains("hoist/few:2: bad host name \"-x\""), "{error}");
}

#[test]
fn the_environment_s_target_file_wins_over_the_repository_s() {
    let repo = two_groups().environment("beta");
    repo.write("hoist/environments/beta/few", "beta1\n");
    let (groups, _) = repo.config().groups(None).unwrap();
    assert_eq!(listed(&groups)[0].1, ["beta1"]);
}

#[test]
fn a_limit_makes_the_group_of_those_that_match() {
    let repo = two_groups();
    let (groups, notes) = limited(&repo, "web[2:4],web9").unwrap();
    assert_eq!(
        listed(&groups),
        [("canary".into(), vec!["web3".into()]), ("default".into(), vec!["web2".into(), "web4".into()])]
    );
    assert!(
        notes.contains(&(Level::Warning, "web[2:4],web9 contains hosts that are not targets: web9".into())),
        "{notes:?}"
    );
    assert_eq!(groups[1].limit.resolved(groups[1].targets.len()), "50% of 2 = 1");
    let (groups, notes) = limited(&repo, "web2").unwrap();
    assert_eq!(groups.len(), 1);
    assert!(notes.contains(&(Level::Info, "group canary has no target that matches web2: skipped".into())));
}

#[test]
fn a_limit_that_matches_nobody_is_an_error() {
    assert_eq!(chain(limited(&two_groups(), "db*")), "db* matches none of the 5 targets");
}
