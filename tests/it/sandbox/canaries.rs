//! The probes that try a jail's walls: that they are made, that they can fail, and that a failure ends everything.

use super::*;
use parton::sandbox::{control, examine, prove};

fn varied() -> World {
    World {
        cpus: Some(7),
        clock_offset: 500 * 86_400,
        uptime_offset: 40 * 86_400,
        dir_order: Some(3),
        pid_base: Some(5000),
        random_addresses: true,
        kernel_release: Some("9.8.7-test".to_owned()),
        memory: Some(77 << 30),
        ..World::default()
    }
}

fn probed(world: World) -> Build {
    Build::new().world(world).jail(|jail| jail.canaries = true)
}

#[test]
fn every_wall_is_tried_before_the_first_step_and_after_the_last() {
    for world in [World::default(), varied()] {
        let ran = probed(world).probe(&["say", "one"]).probe(&["say", "two"]).run();
        assert_eq!(ran.lines, ["one", "two"]);
        assert!(ran.exit.probes.len() >= 40, "{:#?}", ran.exit.probes);
        assert!(ran.exit.probes.iter().all(|probe| probe.times == 2), "{:#?}", ran.exit.probes);
        for wall in &ran.exit.walls {
            assert!(
                ran.exit.probes.iter().any(|probe| probe.wall == wall.name),
                "nothing tries the wall {}",
                wall.name
            );
        }
        let walls: Vec<&String> = ran.exit.walls.iter().map(|wall| &wall.name).collect();
        assert!(ran.exit.probes.iter().all(|probe| walls.contains(&&probe.wall)), "{:#?}", ran.exit.probes);
    }
}

#[test]
fn a_step_that_fails_is_followed_by_probes_and_one_that_is_stopped_is_not() {
    let failed = probed(World::default()).probe(&["exit", "1"]).probe(&["say", "never"]).run();
    assert_eq!(failed.lines, [""; 0]);
    assert!(failed.exit.probes.iter().all(|probe| probe.times == 2), "{:#?}", failed.exit.probes);
    let stopped = probed(World::default()).probe(&["hang"]).limits(|l| l.silence = Duration::from_millis(200)).run();
    assert!(matches!(stopped.exit.stopped, Some(Stopped::Silence(_))));
    assert!(stopped.exit.probes.iter().all(|probe| probe.times == 1), "{:#?}", stopped.exit.probes);
}

#[test]
fn probes_leave_no_trace() {
    let plain = Build::new().probe(&["list", "/tmp"]).probe(&["list", "/build"]).run().ok();
    let after = probed(World::default()).probe(&["list", "/tmp"]).probe(&["list", "/build"]).run().ok();
    assert_eq!(plain, after);
}

/// What shows that a probe can fail: the very same one, where nothing stops it. Three can't get through anywhere: no program
/// may look into the real pid 1 but root's (for whom the system's own pid 1 may be out of reach too), and nothing is above
/// the machine's own root.
#[test]
fn without_walls_the_probes_get_through() {
    let tried = control(&launcher(), varied()).unwrap();
    let held: Vec<&str> = tried.iter().filter(|tried| tried.held).map(|tried| tried.name.as_str()).collect();
    let stopped_everywhere = [
        "what is above the root",
        "the memory of pid 1",
        "the root of pid 1",
        "the environment of pid 1",
        // Root's alone.
        "changing a device, by netlink",
        "raw packets",
        "packet sockets",
        "becoming another user",
        "capabilities",
        "writing to inputs",
        "hard links to inputs",
        "writing to /proc/sys",
        "signals to pid 1",
        // Of machines that have none.
        "vsock",
        "a route out, IPv4",
        "a route out, IPv6",
        "devices, by netlink",
        "identities of the machine",
        "user and group ids",
    ];
    let beyond: Vec<&&str> = held.iter().filter(|name| !stopped_everywhere.contains(name)).collect();
    assert_eq!(beyond, [&""; 0]);
    assert!(tried.len() - held.len() >= 25, "{held:?}");
}

#[test]
fn a_wall_that_lets_something_through_stops_the_run_before_its_first_step() {
    // A jail that shows a directory of the host under its own name.
    let mut build = probed(World::default()).probe(&["write", "/build/began"]);
    let shown = "/usr/share/doc";
    build.jail.root.push(shown.into());
    build.jail.binds.push(Bind { at: shown.into(), from: shown.into(), write: false });
    let error = build.run_result(&Cancel::new()).map(|ran| ran.exit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sandbox's wall 'files' does not hold (before the first step): the host's files: /usr/share/doc is there"
    );
    assert!(error.help().unwrap().contains("parton doctor"));
    assert!(!build.scratch.path().join("build/began").exists());
}

#[test]
fn a_wall_that_breaks_during_the_run_takes_its_result_away() {
    let mut build = probed(World::default()).probe(&["wait-for", "/build/go", "in-a-broken-jail"]);
    let go = build.scratch.path().join("build/go");
    let breaker = std::thread::spawn(move || {
        assert!(wait_until(|| !processes_with("in-a-broken-jail").is_empty()));
        let pid = processes_with("in-a-broken-jail")[0].split(' ').next().unwrap().to_owned();
        // Who made the jail's user namespace may do anything to it from outside.
        let out = Command::new(tools().join("layer/bin/probe")).args(["rename-in", &pid, "foreign"]).output();
        fs::write(go, "").unwrap();
        out.unwrap()
    });
    let result = build.run_result(&Cancel::new()).map(|ran| ran.exit);
    let out = breaker.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "rename ok\n");
    let error = result.unwrap_err().to_string();
    let expected = "the sandbox's wall 'names' does not hold (after the last step): host and domain name: they are foreign \
                    and parton";
    assert_eq!(error, expected);
}

#[test]
fn a_host_with_everything_is_told_so() {
    for (wall, by, error) in examine(&launcher()).unwrap() {
        assert!(error.is_none(), "{wall} ({by}): {}", error.unwrap());
    }
    let exit = prove(&launcher(), varied()).unwrap();
    assert!(exit.probes.iter().all(|probe| probe.times == 2));
}
