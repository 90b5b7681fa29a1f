//! What a build hands out: its output, its log, its programs. Small packages that try to smuggle something in it.

use super::{Files, own_store, record, who};
use crate::common::{Env, parton};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A build of a script's output: parton's exit code and all it said.
fn output_of(name: &str, script: &str) -> (Option<i32>, String) {
    let env = Env::workspace();
    env.script(name, &format!("{script}\n: {}", std::process::id()));
    let run = env.run(&["build", name, "--rebuild", "--rounds", "1", "--color", "never"]);
    (run.code, format!("{}{}", run.stdout, run.stderr))
}

/// What can not be part of a tree is refused by name.
#[test]
fn outputs_carry_no_special_files() {
    const MAKE: &str = "cat > s.c <<'EOF'\n#include <string.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n\
        int main(void) { struct sockaddr_un a = {AF_UNIX, \"s\"}; return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, \
        sizeof a); }\nEOF\ncc -o s.out s.c && cd $OUT/usr && /build/*/s.out";
    let mut lines = vec![];
    for (name, script, says) in [
        ("output_fifo", "mkfifo $OUT/usr/f", "usr/f: a fifo can not be part of a tree"),
        ("output_socket", MAKE, "usr/s: a socket can not be part of a tree"),
        ("output_device", "mknod $OUT/usr/d c 1 3", "Operation not permitted"),
        ("output_link_to_input", "ln /bin/dash $OUT/usr/d", "Invalid cross-device link"),
        ("output_set_id", "cp /bin/dash $OUT/usr/ && chmod 4755 $OUT/usr/dash", "Operation not permitted"),
    ] {
        let (code, said) = output_of(name, script);
        assert!(code == Some(1) && said.contains(says), "{name}: {said}");
        lines.push(format!("{name}: held ({says})"));
    }
    record(&format!("outputs, as {}", who()), &lines);
}

/// What would hurt whoever reads an output: files that are mostly hole, which no limit on disk notices and which took as
/// much memory as they are long; directories deeper than a path can name; what only root can read.
#[test]
fn outputs_do_no_harm_to_their_reader() {
    let mut lines = vec![];
    for (name, script, says) in [
        ("output_giant", "for i in 1 2 3; do truncate -s 15G $OUT/usr/$i; done", "more than the disk limit of"),
        (
            "output_giant_program",
            "printf '\\177ELF\\2\\1\\1' > $OUT/usr/p; truncate -s 1100M $OUT/usr/p",
            "usr/p looks like ELF but is 1153433600 bytes long",
        ),
        (
            "output_deep",
            "cd $OUT/usr; n=$(printf '%0200d' 0); d=$n/$n/$n/$n/$n/$n/$n/$n; mkdir -p p1/$d; \
             for i in 2 3 4; do mkdir -p p$i/$d; mv p$((i-1)) p$i/$d/; done",
            "the path or one of its components is too long",
        ),
        (
            "output_closed_directory",
            "mkdir $OUT/usr/d; : > $OUT/usr/d/f; chmod 0 $OUT/usr/d",
            "usr/d can not be read by its owner",
        ),
        ("output_closed_file", ": > $OUT/usr/f; chmod 0 $OUT/usr/f", "usr/f can not be read by its owner"),
    ] {
        let (code, said) = output_of(name, script);
        assert!(code == Some(1) && said.contains(says), "{name}: {said}");
        lines.push(format!("{name}: held (… {says} …)"));
    }
    record(&format!("outputs, as {}", who()), &lines);
}

/// Links of an output lead nowhere for parton: what they point to outside is neither read nor changed, also where the
/// output changed until the very last moment of its build.
#[test]
fn links_in_outputs_are_not_followed() {
    let env = Env::workspace();
    let dir = tempfile::tempdir().unwrap();
    let secret = format!("secret-behind-a-link-{}", std::process::id());
    let files = Files::plant(&secret, &[("BAIT", dir.path().join("d/bait"))]);
    let (bait, baits) = (dir.path().join("d/bait"), dir.path().join("d"));
    let script = format!(
        "cd $OUT/usr\nln -s {0} file\nln -s {1} dir\nln -s / root\nln -s ../../../../../../..{0} up\nln -s loop loop\n\
         ln -s /proc/self/root{0} magic\nmkdir real\necho x > real/bait\n\
         (while :; do mv -T real away; ln -sT {1} real; rm real; mv -T away real; done) 2>/dev/null &\nsleep 0.1\n\
         : {2}\nmkdir -p real || :\nmkdir kept\necho x > kept/x",
        bait.display(),
        baits.display(),
        std::process::id()
    );
    env.script("links", &script);
    // Whether the race leaves a directory or not is not parton's to decide.
    let run = env.run(&["build", "links", "--rebuild", "--rounds", "1"]).ok();
    assert!(run.stdout.contains("unproved"), "{}", run.stdout);
    let path = env.command(&["store", "path", "links"]).output().unwrap();
    let tree = PathBuf::from(String::from_utf8(path.stdout).unwrap().trim());
    for name in ["file", "dir", "root", "up", "loop", "magic"] {
        assert!(fs::symlink_metadata(tree.join("usr").join(name)).unwrap().is_symlink(), "{name}");
    }
    let mut waiting = vec![tree];
    while let Some(at) = waiting.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        if meta.is_dir() {
            waiting.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            assert!(!fs::read_to_string(&at).unwrap_or_default().contains(&secret), "{}", at.display());
        }
    }
    files.assert_untouched();
    record(&format!("outputs, as {}", who()), &["output_links: held (6 kinds and a race, none followed)".into()]);
}

/// What a build prints, and the names of its files, reach a terminal only with their control characters made visible: raw
/// they could type answers, set titles or write to the clipboard.
#[test]
fn nothing_a_build_says_controls_the_terminal() {
    let evil = "printf '\\033]0;title\\007\\033[6n\\302\\2332J evil\\n'";
    for (name, script) in [
        ("evil-log", format!("{evil}; false")),
        ("evil-names", format!("{evil} > \"$OUT/usr/$({evil})$(date +%s%N)\"; mkfifo \"$OUT/usr/$({evil})\"")),
    ] {
        let env = Env::workspace();
        env.script(name, &script);
        let run = env.run(&["build", name, "--rebuild", "-v", "--color", "never"]).code(1);
        for text in [&run.stdout, &run.stderr] {
            let raw = text.chars().find(|c| c.is_control() && *c != '\n');
            assert!(raw.is_none(), "{name}: {raw:?} in {text:?}");
        }
        assert!(format!("{}{}", run.stdout, run.stderr).contains("evil"));
        if name == "evil-names" {
            continue;
        }
        // A log is shown as it is where it can do no harm.
        let log = env.command(&["log", name]).output().unwrap().stdout;
        assert!(log.windows(4).any(|bytes| bytes == b"\x1b]0;"), "{name}");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("{} log {name}", parton().display()), "/dev/null"]).current_dir(env.path());
        terminal
            .env_clear()
            .envs(env.command(&[]).get_envs().map(|(name, value)| (name, value.unwrap())))
            .stdin(Stdio::null());
        let shown = terminal.output().unwrap().stdout;
        let text = String::from_utf8_lossy(&shown);
        assert!(
            text.contains("evil") && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\r'),
            "{text:?}"
        );
    }
    record(&format!("outputs, as {}", who()), &["output_control_characters: held (made visible)".to_owned()]);
}

/// The known trick with a script whose interpreter is /proc/self/exe: the first program of a step is executed by parton's own
/// process, so that the interpreter would be parton's program file on the host, with a descriptor that can be written to
/// when it ended. A needed package brings such a shell.
#[test]
fn the_first_program_is_not_parton_itself() {
    let env = Env::workspace();
    env.script(
        "evil-shell",
        "mkdir -p $OUT/bin; printf '#!/proc/self/exe\\n' > $OUT/bin/dash; chmod 755 $OUT/bin/dash",
    );
    env.package(
        "victim",
        &[("x", "x")],
        "[needs]\nbuild = [\"evil-shell\"]\n\n[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"cp x $OUT\"\n",
    );
    let program = fs::metadata(parton()).unwrap();
    let run = env.run(&["build", "victim", "--rounds", "1"]).code(4);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("can not be started: execute /bin/sh: Permission denied"), "{said}");
    let after = fs::metadata(parton()).unwrap();
    assert_eq!((program.mtime(), program.len()), (after.mtime(), after.len()));
    record(&format!("outputs, as {}", who()), &["program_of_parton: held (execute: Permission denied)".to_owned()]);
}

/// A store may hand its group down, in the way of directories that several people share; then its directories have the
/// set-group-id bit, and so had those of a build, which could copy them into its output.
#[test]
fn a_store_that_hands_its_group_down_is_not_seen() {
    let env = Env::with_own_store();
    env.copy_seed();
    own_store(&env);
    let tmp = env.store().join("tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o2755)).unwrap();
    assert_eq!(fs::metadata(&tmp).unwrap().mode() & 0o7777, 0o2755);
    env.script(
        "modes",
        "mkdir $OUT/usr/d; stat -c %a.%g /build . $OUT $OUT/usr/d | tee $OUT/usr/modes; cp -a . $OUT/usr/copy",
    );
    let run = env.run(&["build", "modes", "--rounds", "1"]).ok();
    let path = env.command(&["store", "path", "modes"]).output().unwrap();
    let tree = PathBuf::from(String::from_utf8(path.stdout).unwrap().trim());
    let modes = fs::read_to_string(tree.join("usr/modes")).unwrap();
    assert_eq!(modes, "755.1000\n".repeat(4), "{}", run.stdout);
    assert_eq!(fs::metadata(tree.join("usr/copy")).unwrap().mode() & 0o7777, 0o755);
}
