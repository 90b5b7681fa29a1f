//! What takes too much is stopped by the name of what it took, and nothing of it is left. `jail` is the sandbox alone, as
//! root and (see `sandbox::an_ordinary_user_gets_the_same`) as an ordinary user; `built` is `parton build`.

mod jail {
    use crate::sandbox::{Build, Ran, processes_with, wait_until};
    use parton::sandbox::{Limits, Status, Stopped, World};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    const MIB: u64 = 1 << 20;

    /// Runs the probe with a word that no other test uses, and makes sure that nothing with it is left.
    #[track_caller]
    fn run(marker: &str, limits: impl FnOnce(&mut Limits), args: &[&str]) -> Ran {
        in_world(World::default(), marker, limits, args)
    }

    #[track_caller]
    fn in_world(world: World, marker: &str, limits: impl FnOnce(&mut Limits), args: &[&str]) -> Ran {
        let marker = format!("{marker}-{}", std::process::id());
        let build = Build::new().world(world).limits(limits).probe(&[args, &[&marker]].concat());
        let build = build.jail(|jail| jail.tmp_size = 1 << 30);
        let scratch = build.scratch.path().to_owned();
        let mut build = build;
        let ran = build.run_result(&parton::base::Cancel::new()).unwrap();
        assert_eq!(processes_with(&marker), Vec::<String>::new());
        let mut left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["build", "out"]);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(scratch.to_str().unwrap()), "{mounts}");
        ran
    }

    #[test]
    fn memory_of_every_kind_is_stopped() {
        for how in ["plain", "shared", "segment", "memory-file", "tmp"] {
            let ran = run(how, |l| l.memory = Some(64 * MIB), &["eat", how, "200000000", "1"]);
            assert_eq!(ran.exit.stopped, Some(Stopped::Memory(64 * MIB)), "{how}: {:?}", ran.exit);
            assert_eq!(ran.exit.steps[0].status, Status::Signal(9), "{how}");
            // Control: it is the amount that stops it.
            let ran = run(how, |l| l.memory = Some(400 * MIB), &["eat", how, "100000000", "1", "leave"]);
            assert!(ran.exit.success(1) && ran.lines == ["eaten"], "{how}: {:?} {:?}", ran.exit, ran.lines);
        }
    }

    #[test]
    fn many_small_ones_are_one_large_one() {
        let ran = run("many", |l| l.memory = Some(100 * MIB), &["eat", "many", "10000000", "20"]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Memory(100 * MIB)));
    }

    #[test]
    fn what_children_share_counts_once() {
        let limit = |l: &mut Limits| l.memory = Some(150 * MIB);
        let ran = run("inherited", limit, &["eat", "inherited", "100000000", "10"]);
        assert!(ran.exit.success(1), "{:?} {:?}", ran.exit, ran.lines);
        // Control: the same, after each has written to all of it.
        let ran = run("broken", limit, &["eat", "broken", "100000000", "10"]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Memory(150 * MIB)));
    }

    #[test]
    fn memory_is_watched_in_a_varied_world() {
        // The machine's own figures are covered there.
        let world = World { memory: Some(1 << 40), cpus: Some(3), clock_offset: 1_000_000, ..World::default() };
        for how in ["plain", "memory-file"] {
            let limit = |l: &mut Limits| l.memory = Some(64 * MIB);
            let ran = in_world(world.clone(), &format!("{how}-varied"), limit, &["eat", how, "200000000", "1"]);
            assert_eq!(ran.exit.stopped, Some(Stopped::Memory(64 * MIB)), "{how}");
        }
    }

    #[test]
    fn descriptors_are_stopped() {
        let limit = |l: &mut Limits| l.descriptors = 64;
        let ran = run("stays", limit, &["open", "60000", "0"]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Descriptors(64)));
        assert_eq!(ran.lines, ["61 more"]);
        // Failed of itself, but for that.
        let ran = run("fails", limit, &["open", "600", "1"]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Descriptors(64)));
        // A test suite that wants to see the limit, and does not stay there.
        let ran = run("passes", limit, &["open", "0", "0"]);
        assert!(ran.exit.success(1), "{:?}", ran.exit);
    }

    #[test]
    fn processes_and_threads_are_stopped() {
        let ran = run("bomb", |l| l.processes = 100, &["fork-bomb", ""]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Processes(100)), "{:?}", ran.lines);
        let ran = run("threads", |l| l.processes = 100, &["threads", "1000"]);
        assert_eq!(ran.exit.stopped, Some(Stopped::Processes(100)), "{:?}", ran.lines);
        let ran = run("few-threads", |l| l.processes = 100, &["threads", "90", "leave"]);
        assert!(ran.exit.success(1) && ran.lines == ["90 threads"], "{:?} {:?}", ran.exit, ran.lines);
    }

    #[test]
    fn a_full_tmp_is_named_when_the_step_fails() {
        let small = |jail: &mut parton::sandbox::Jail| jail.tmp_size = 8 << 20;
        let ran = Build::new().jail(small).probe(&["fill-and-stay", "/tmp/f"]).run();
        assert_eq!(ran.exit.stopped, Some(Stopped::Scratch(8 << 20)));
        assert_eq!(ran.lines, ["filled: ENOSPC"]);
        assert_eq!(ran.exit.steps[0].status, Status::Code(1));
    }

    #[test]
    fn a_step_is_stopped_while_the_others_were_not() {
        let ran = Build::new()
            .limits(|l| l.memory = Some(64 * MIB))
            .probe(&["say", "first"])
            .probe(&["eat", "plain", "200000000"])
            .probe(&["say", "never"])
            .run();
        assert_eq!(ran.exit.stopped, Some(Stopped::Memory(64 * MIB)));
        assert_eq!(ran.exit.steps.iter().map(|s| s.status).collect::<Vec<_>>(), [Status::Code(0), Status::Signal(9)]);
    }

    /// Not a test: what the watch costs while nothing is near a limit, as a share of one processor.
    #[test]
    #[ignore = "prints figures"]
    fn figures_of_the_watch() {
        use std::io::Write as _;
        for count in ["2", "20", "200", "2000"] {
            let marker = format!("figures-{count}");
            let seen = marker.clone();
            let thread = std::thread::spawn(move || {
                let limits = |l: &mut Limits| l.time = std::time::Duration::from_secs(12);
                run(&seen, limits, &["eat", "many", "100000", count])
            });
            assert!(wait_until(|| processes_with(&marker).len() as u64 == 1 + count.parse::<u64>().unwrap()));
            let processes = processes_with(&marker);
            let parent = |pid: &str| -> String {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
                status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().to_owned()
            };
            let first = processes.iter().map(|line| line.split(' ').next().unwrap());
            let step = first.min_by_key(|pid| pid.parse::<u32>().unwrap()).unwrap();
            let init = parent(step);
            let spent = || -> u64 {
                let text = fs::read_to_string(format!("/proc/{init}/schedstat")).unwrap();
                text.split(' ').next().unwrap().parse().unwrap()
            };
            let before = spent();
            std::thread::sleep(std::time::Duration::from_secs(5));
            let share = (spent() - before) as f64 / 5e9;
            thread.join().unwrap();
            let text = format!("{count} processes: {:.3} % of one processor\n", share * 100.0);
            std::io::stderr().write_all(text.as_bytes()).unwrap();
        }
    }

    /// A control group of its own with so many bytes, gone with the value. `None` where none can be made.
    struct Group(PathBuf);

    impl Group {
        fn new(bytes: u64) -> Option<Self> {
            let name = format!("parton-it-{}", std::process::id());
            for (root, file) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
                let dir = Path::new(root).join(&name);
                if fs::create_dir(&dir).is_ok() {
                    let group = Self(dir);
                    if group.0.join(file).is_file() {
                        fs::write(group.0.join(file), bytes.to_string()).unwrap();
                        return Some(group);
                    }
                }
            }
            None
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            // Where it was parton's to divide, parton moved to a leaf of it.
            let _ = fs::remove_dir(self.0.join("parton-self"));
            assert!(wait_until(|| fs::remove_dir(&self.0).is_ok()), "{} is still in use", self.0.display());
        }
    }

    /// Not a test: eats in a process of its own, which another test has put into a control group.
    #[test]
    #[ignore = "run by the_kernel_running_out_of_memory_is_told_apart"]
    fn helper_that_eats() {
        use std::io::Write as _;
        let say = |text: String| std::io::stderr().write_all(text.as_bytes()).unwrap();
        let eat = ["eat", "plain", "200000000", "1"];
        say(format!("\ndefault: {:?}\n", run("default", |_| {}, &eat).exit.stopped));
        say(format!("large: {:?}\n", run("large", |l| l.memory = Some(1 << 40), &eat).exit.stopped));
        say(format!("unrelated: {:?}\n", run("unrelated", |_| {}, &["die", "9"]).exit.stopped));
    }

    /// A process that the kernel ended for lack of memory looks like any that somebody killed. The counter of the control
    /// group (or of the machine) tells them apart; and the group's limit is what a run may take three quarters of.
    #[test]
    fn the_kernel_running_out_of_memory_is_told_apart() {
        let Some(group) = Group::new(128 * MIB) else {
            // Only where groups can be made can the kernel be made to run out of memory without harm.
            assert!(
                !rustix::process::geteuid().is_root() || !Path::new("/sys/fs/cgroup/memory").exists(),
                "root, and a hierarchy of memory groups, but no group can be made"
            );
            return;
        };
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec {} --exact resources::jail::helper_that_eats --ignored --nocapture",
            group.0.display(),
            exe.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("default: Some(Memory(100663296))"), "{text}");
        assert!(text.contains("large: Some(OutOfMemory)"), "{text}");
        assert!(text.contains("unrelated: None"), "{text}");
    }
}

mod built {
    use crate::common::{Env, shared_store};
    use crate::sandbox::processes_with;
    use std::fs;
    use std::process::Stdio;

    /// Builds a package that compiles and runs this program within these limits. It must be stopped, and nothing of it be
    /// left: no process, no mount, no unfinished directory in the store. What parton said of it.
    #[track_caller]
    fn eats(name: &str, program: &str, limits: &str) -> String {
        let env = Env::workspace();
        let program = format!("#include <unistd.h>\n#include <stdlib.h>\n#include <string.h>\n{program}\n");
        let rest = format!(
            "[build]\nsystem = \"script\"\n\n[build.phases]\ncompile = \"cc -o {name}-eater eater.c -lpthread\"\n\
             install = './{name}-eater; exit 1'\n\n[limits]\n{limits}\n"
        );
        env.package(name, &[("eater.c", &program)], &rest);
        let mut command = env.command(&["build", name, "--rebuild", "--rounds", "1"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stage = format!("{}-", child.id());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));

        assert_eq!(processes_with(&format!("{name}-eater")), Vec::<String>::new());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(shared_store().to_str().unwrap()), "{mounts}");
        let stages = fs::read_dir(shared_store().join("tmp")).unwrap().map(|e| e.unwrap().file_name());
        assert!(!stages.into_iter().any(|left| left.to_str().unwrap().starts_with(&stage)));
        text
    }

    #[test]
    fn every_limit_is_named_with_its_value_and_its_key() {
        let loop_ = "for (;;) pause();";
        for (name, program, limits, words) in [
            (
                "eats-memory",
                format!("int main(void) {{ long n = 300 << 20; memset(malloc(n), 1, n); {loop_} }}"),
                "memory = \"256MiB\"",
                "stopped in phase install: memory limit 256.0 MiB; raise `memory` in the spec's [limits]",
            ),
            (
                "eats-processes",
                format!("int main(void) {{ while (fork() >= 0) {{}} {loop_} }}"),
                "processes = 64",
                "stopped in phase install: process limit 64; raise `processes` in the spec's [limits]",
            ),
            (
                "eats-descriptors",
                format!("int main(void) {{ while (dup(0) >= 0) {{}} {loop_} }}"),
                "descriptors = 100",
                "stopped in phase install: 100 open descriptors in one process; raise `descriptors` in the spec's [limits]",
            ),
            (
                "eats-disk",
                "#include <fcntl.h>\nint main(void) { static char b[1 << 20]; memset(b, 1, sizeof b);\n\
                 int f = open(\"f\", O_WRONLY | O_CREAT, 0600); for (int i = 0; i < 64; i++) write(f, b, sizeof b);\n\
                 for (;;) pause(); }"
                    .to_owned(),
                "disk = \"32MiB\"",
                "stopped in phase install: more than 32.0 MiB on disk; raise `disk` in the spec's [limits]",
            ),
            (
                "eats-time",
                format!("int main(void) {{ {loop_} }}"),
                "time = \"2s\"",
                "stopped in phase install: longer than 2 s; raise `time` in the spec's [limits]",
            ),
            (
                "eats-output",
                "int main(void) { for (;;) write(1, \"0123456\\n\", 8); }".to_owned(),
                "output = \"1MiB\"",
                "stopped in phase install: more than 1.0 MiB of output; raise `output` in the spec's [limits]",
            ),
        ] {
            let text = eats(name, &program, limits);
            assert!(text.contains(words), "{name}: {text}");
        }
    }

    /// What is stopped for filling the disk would keep it full if its directories were kept as other failures' are.
    #[test]
    fn a_build_that_filled_the_disk_keeps_nothing() {
        let program = "#include <fcntl.h>\nint main(void) { static char b[1 << 20];\nmemset(b, 1, sizeof b);\n\
                       int f = open(\"f\", O_WRONLY | O_CREAT, 0600); for (int i = 0; i < 64; i++) write(f, b, sizeof b);\n\
                       for (;;) pause(); }";
        let kept = |name: &str| fs::read_dir(shared_store().join("kept").join(name)).map_or(0, Iterator::count);
        eats("fills-disk", program, "disk = \"32MiB\"");
        assert_eq!(kept("fills-disk"), 0);
        eats("fills-time", "int main(void) { for (;;) pause(); }", "time = \"2s\"");
        assert_ne!(kept("fills-time"), 0);
    }
}
