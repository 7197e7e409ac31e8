use super::*;

#[test]
fn shared_paths_are_read_as_a_list_and_a_slash_behind_a_directory_means_nothing() {
    let config =
        Repo::configured("shared_dirs: log/, public/uploads\nshared_files:\n  config/a.yml\n  .env\n").config();
    let shared = &config.settings.shared;
    let dirs: Vec<&str> = shared.dirs.iter().map(|path| path.as_str()).collect();
    let files: Vec<&str> = shared.files.iter().map(|path| path.as_str()).collect();
    assert_eq!((dirs, files), (vec!["log", "public/uploads"], vec!["config/a.yml", ".env"]));
    assert!(Repo::configured("shared_dirs:\n").config().settings.shared.is_empty());
}

#[test]
fn a_path_that_cannot_be_shared_is_told_with_file_line_and_key() {
    let here = |line: usize, key: &str| format!("hoist/hoist.cfg:{line}: {key} in [global]: ");
    for bad in ["/var/log", "../log", "a//b", "-rf", ".git", "hoist", "hoist/checks.yaml", "scap", "x/.gitattributes"] {
        Repo::configured(&format!("shared_dirs: log, {bad}\n")).fails(&here(3, "shared_dirs"));
        Repo::configured(&format!("shared_dirs: log\nshared_files: {bad}\n")).fails(&here(4, "shared_files"));
    }
    let twice = Repo::configured("shared_dirs: log\nshared_files: log\n");
    twice.fails(&format!("{}log is also in shared_dirs", here(4, "shared_files")));
    let inside = Repo::configured("shared_dirs: log, log/old\n");
    inside.fails(&format!("{}log/old is inside log, which is shared as a whole", here(3, "shared_dirs")));
    let around = Repo::configured("shared_dirs: log/old\nshared_files: log\n");
    around.fails(&format!("{}log/old is inside log", here(4, "shared_files")));
}

#[test]
fn a_configuration_file_at_a_shared_path_is_told_wherever_it_is_configured() {
    for path in ["conf", "conf/app.yml", "/srv/deployment/app/conf/app.yml"] {
        let repo = Repo::configured("config_deploy: yes\nshared_dirs: log, conf\n");
        repo.write("hoist/config-files.yaml", &format!("{path}: {{template: t.j2}}\n"));
        repo.write("hoist/templates/t.j2", "x");
        let error = chain(repo.config().config_files());
        let inside = path.trim_start_matches("/srv/deployment/app/");
        let wanted = format!(
            "hoist/hoist.cfg:4: shared_dirs in [global]: conf cannot be shared: hoist/config-files.yaml has the configuration file {inside:?} there"
        );
        assert!(error.contains(&wanted), "{error}");
    }
}
