//! Every shell session of every manual page, typed at a terminal as it stands: each command ends as the page leads its
//! reader to expect, and shows what the page shows below it.

#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod output;
mod page;

use std::collections::BTreeSet;
use std::fs;

use fleet::Fleet;
use page::Block;

/// Something that happens to a fleet.
type Action = fn(&Fleet);

/// What a page's sessions find, and what becomes of them.
struct Scene {
    fleet: Fleet,
    /// The host that the commands are typed on; `None`: the deploy host.
    on: Option<&'static str>,
    /// What happens before the commands that begin so.
    before: &'static [(&'static str, Action)],
    /// Files that the page's first block of text in a section is the content of.
    files: &'static [(&'static str, &'static str)],
    /// How commands that begin so end, if not with 0.
    statuses: &'static [(&'static str, i32)],
}

impl Scene {
    fn of(fleet: Fleet) -> Scene {
        Scene { fleet, on: None, before: &[], files: &[], statuses: &[] }
    }
}

/// Runs the sessions of a page in their order.
fn run(page: &str, scene: &Scene) {
    let blocks = page::blocks(page);
    let mut files = scene.files.iter().peekable();
    let mut examples = 0;
    for (section, block) in blocks {
        let steps = match block {
            Block::Session(steps) => steps,
            Block::Text(text) => {
                if let Some((_, path)) = files.next_if(|(wanted, _)| *wanted == section) {
                    scene.fleet.project.write(path, &text);
                }
                continue;
            }
        };
        for step in steps {
            let begins = |beginning: &str| step.command.starts_with(beginning);
            scene.before.iter().filter(|(beginning, _)| begins(beginning)).for_each(|(_, act)| act(&scene.fleet));
            let shown = match scene.on {
                Some(host) => scene.fleet.types_on(host, &step),
                None => scene.fleet.types(&step),
            };
            let status =
                scene.statuses.iter().find(|(beginning, _)| begins(beginning)).map_or(0, |(_, status)| *status);
            let text = shown.lines.join("\n");
            assert_eq!(shown.status, Some(status), "{page}: {}\n{text}", step.command);
            let agrees = step.output.is_empty() || output::agrees(&step.output, &shown.lines);
            assert!(
                agrees,
                "{page}: {}\nthe page shows\n{}\nthe terminal\n{text}",
                step.command,
                step.output.join("\n")
            );
            if section == "EXAMPLES" {
                examples += 1;
            }
        }
    }
    assert!(examples > 0, "{page} has no command among its EXAMPLES");
    assert_eq!(files.next(), None, "{page}: a file that the page does not have");
}

/// Declares the pages whose sessions want a scene of their own.
macro_rules! pages {
    ($($name:ident: $page:literal, $scene:expr;)*) => {
        const OWN: &[&str] = &[$($page),*];

        $(#[test]
        fn $name() {
            run($page, &$scene);
        })*
    };
}

pages! {
    the_first_page_leads_from_a_configuration_to_a_deployment: "hoist.1", Scene {
        before: &[("hoist deploy --yes -r", |fleet| fleet.cut_off("v2.2"))],
        // A deployment that was undone has failed, and hosts of none are not where it wanted them.
        statuses: &[("hoist deploy --yes -r", 6), ("hoist rollback", 1)],
        ..Scene::of(Fleet::new())
    };
    mistakes_of_the_configuration_are_shown_as_the_page_shows_them: "hoist-check-config.1", Scene {
        before: &[("hoist check-config", |fleet| {
            fleet.project.configure("failure_limit: 0.2");
            fleet.project.write("hoist/checks.yaml", "checks:\n  up:\n    command: uptime\n    stage: promte\n");
        })],
        statuses: &[("hoist check-config", 2)],
        ..Scene::of(Fleet::new())
    };
    commands_are_run_and_hosts_are_drained_around_them: "hoist-run.1", Scene {
        before: &[("hoist run --drain", |fleet| {
            fleet.project.configure(&page::block_of("hoist-run.1", "drain:"));
            fleet.project.write("hoist/gates.yaml", "gates:\n  up:\n    type: command\n    command: uptime\n    when: [subgroup, soak]\n");
        })],
        ..Scene::of(Fleet::with(&["v2.1", "v2.2"]))
    };
    settings_are_shown_with_where_they_came_from: "hoist-config.1", Scene {
        before: &[("hoist config", |fleet| fleet.project.configure("fetch_batch_size: 5"))],
        ..Scene::of(Fleet::new())
    };
    a_stage_is_undone_by_hand_on_a_host: "hoist-deploy-local.1", Scene {
        on: Some("web03.example.org"),
        ..Scene::of(Fleet::with(&["v2.1", "v2.2"]))
    };
    a_plan_shows_groups_limits_and_subgroups: "hoist-plan.1", Scene {
        before: &[("hoist plan", |fleet| {
            fleet.project.configure("group_size: 3\nretry_failed: 1");
            fleet.project.commit("Try again");
        })],
        ..Scene::of(Fleet::with(&["v2.1"]))
    };
    hosts_that_were_down_are_brought_to_what_the_others_run: "hoist-reconcile.1", Scene::of(with_hosts_left_behind());
    a_deployment_that_was_cut_off_is_resumed: "hoist-resume.1", Scene {
        before: &[("hoist resume", |fleet| fleet.cut_off("v2.2"))],
        ..Scene::of(Fleet::with(&["v2.1"]))
    };
    past_deployments_are_shown_with_where_their_time_went: "hoist-history.1", Scene::of(with_measured());
    a_rollback_goes_to_the_revision_before_and_to_a_tag: "hoist-rollback.1", Scene {
        before: &[("hoist rollback hoist/sync", |fleet| {
            fleet.project.git(&["tag", "hoist/sync/2026-11-21/0003", "v2.1"]);
        })],
        ..Scene::of(Fleet::with(&["v2.1", "v2.2", "v2.3"]))
    };
    a_first_configuration_is_written: "hoist-init.1", Scene {
        before: &[("hoist init", |fleet| fs::remove_dir_all(fleet.project.path("hoist")).unwrap())],
        ..Scene::of(Fleet::new())
    };
    status_shows_who_was_left_behind: "hoist-status.1", Scene {
        statuses: &[("hoist status\n", 1)],
        ..Scene::of(with_hosts_left_behind())
    };
    a_repository_of_scaps_is_taken_over_and_given_back: "hoist-scap3.7", Scene::of(with_scap());
    health_gates_are_added_to_a_configuration: "hoist-gates.5", Scene {
        files: &[("DESCRIPTION", "hoist/gates.yaml")],
        before: &[("hoist check-config", |fleet| fleet.project.write("hoist/gates.yaml", &page::block_of("hoist-gates.5", "pages:")))],
        ..Scene::of(Fleet::with(&["v2.1"]))
    };
    hooks_are_added_to_a_configuration: "hoist-hooks.5", Scene {
        files: &[("DESCRIPTION", "hoist/hooks.yaml")],
        ..Scene::of(Fleet::with(&["v2.1"]))
    };
    steps_are_added_to_a_configuration: "hoist-steps.5", Scene {
        files: &[("EXAMPLES", "hoist/steps.yaml")],
        ..Scene::of(Fleet::with(&["v2.1"]))
    };
    a_configuration_of_two_groups_is_read: "hoist.cfg.5", Scene {
        files: &[
            ("EXAMPLES", "hoist/hoist.cfg"),
            ("EXAMPLES", "hoist/config-files.yaml"),
            ("EXAMPLES", "hoist/templates/database.ini.j2"),
        ],
        ..Scene::of(Fleet::new())
    };
}

/// Hosts 3 and 5 were down when `v2.2` was deployed, and are up again.
fn with_hosts_left_behind() -> Fleet {
    let fleet = Fleet::with(&["v2.1"]);
    fleet.set_down(&[3, 5], true);
    fleet.project.deploy(&["-r", "v2.2", "-D", "failure_limit:2"]).ends(0);
    fleet.set_down(&[3, 5], false);
    fleet
}

/// The deployment of `v2.2` measured where the time went.
fn with_measured() -> Fleet {
    let fleet = Fleet::with(&["v2.1"]);
    fleet.project.deploy(&["-r", "v2.2", "--timings"]).ends(0);
    fleet
}

/// A repository that Scap deployed `v2.1` and `v2.2` of, as far as anybody can tell.
fn with_scap() -> Fleet {
    let fleet = Fleet::with(&["v2.1", "v2.2"]);
    let project = &fleet.project;
    for folder in ["hoist/log", "hoist/state"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project.git(&["mv", "hoist", "scap"]);
    project.git(&["mv", "scap/hoist.cfg", "scap/scap.cfg"]);
    project.commit("The folder is Scap's");
    project.git(&["tag", "scap/sync/2026-11-20/0001", "v2.1"]);
    project.git(&["tag", "scap/sync/2026-11-20/0002", "v2.2"]);
    fleet
}

/// The pages that have no scene of their own, in two halves, which run at the same time.
fn other_pages() -> [Vec<String>; 2] {
    let files = fs::read_dir(page::folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = files.filter(|name| name.starts_with("hoist")).collect();
    assert!(OWN.iter().all(|page| pages.contains(*page)), "a scene for a page that is not there");
    let mut others: Vec<String> = pages.into_iter().filter(|page| !OWN.contains(&page.as_str())).collect();
    let second = others.split_off(others.len() / 2);
    [others, second]
}

fn run_in_order(pages: &[String]) {
    pages.iter().for_each(|page| run(page, &Scene::of(Fleet::with(&["v2.1", "v2.2"]))));
}

#[test]
fn every_other_page_has_sessions_that_a_fleet_in_order_runs_first_half() {
    run_in_order(&other_pages()[0]);
}

#[test]
fn every_other_page_has_sessions_that_a_fleet_in_order_runs_second_half() {
    run_in_order(&other_pages()[1]);
}
