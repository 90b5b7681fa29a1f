//! The zoo beside other readers: what GNU tar, bsdtar and dpkg-deb do with each case.
//!
//! Each run has a fresh directory with a destination and things beside it, and belongs to a user who may write there and
//! nowhere else. Whatever is different outside of the destination afterwards is an escape.

use super::{Answer, Case, Kind, OUTSIDE, answer, cases};
use parton::tree::{Order, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The user whom other readers run as when the tests are root's.
const NOBODY: u32 = 65_534;
/// How long one reader may take for one case.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Something outside of the destination was made, changed, linked to or removed.
    Escapes,
    /// It was still busy after a minute.
    Hangs,
    Errors,
    /// It unpacked the archive, and a link in the destination leads out.
    LeavesLink,
    Accepts,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Escapes => "ESCAPES",
            Self::Hangs => "HANGS",
            Self::Errors => "error",
            Self::LeavesLink => "accepts, a link leads out",
            Self::Accepts => "accepts",
        }
    }
}

/// What can be seen of a thing outside: kind and permissions, size, names, content or target.
type Seen = (u32, u64, u64, Vec<u8>);

struct Cage {
    dir: tempfile::TempDir,
    /// Where absolute names and targets lead.
    absolute: PathBuf,
    before: BTreeMap<PathBuf, Seen>,
}

impl Cage {
    fn new() -> Self {
        Self::with(Path::new(OUTSIDE))
    }

    fn with(outside: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        _ = fs::remove_dir_all(outside);
        for made in [dir.path().join("dest"), dir.path().join("beside"), outside.to_owned()] {
            fs::create_dir(made).unwrap();
        }
        fs::write(dir.path().join("beside/file"), b"untouched").unwrap();
        fs::write(outside.join("file"), b"untouched").unwrap();
        symlink("dest", dir.path().join("link")).unwrap();
        let mut cage = Self { dir, absolute: outside.to_owned(), before: BTreeMap::new() };
        if rustix::process::getuid().is_root() {
            let mut all = vec![cage.dir.path().to_owned()];
            look(cage.dir.path(), &mut |path, _| all.push(path.to_owned()));
            look(outside, &mut |path, _| all.push(path.to_owned()));
            all.push(outside.to_owned());
            for path in all {
                std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        cage.before = cage.outside();
        cage
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    /// Everything but what is in the destination.
    fn outside(&self) -> BTreeMap<PathBuf, Seen> {
        let mut found = BTreeMap::new();
        for top in [self.dir.path(), &self.absolute] {
            look(top, &mut |path, seen| {
                if !path.starts_with(self.dest()) {
                    found.insert(path.to_owned(), seen);
                }
            });
        }
        found
    }

    /// What lies in the destination, but for permissions; nothing where it can not be read as a tree.
    fn tree(&self) -> Option<Vec<String>> {
        let tree = Tree::scan(&self.dest()).ok()?;
        Some(tree.iter().map(|(path, entry)| super::line(path.to_string(), entry)).collect())
    }

    fn verdict(&self, end: Option<bool>) -> Verdict {
        let top = self.dest();
        let mut leads_out = false;
        look(&top, &mut |path, (mode, _, _, target)| {
            let target = Path::new(std::str::from_utf8(&target).unwrap_or_default()).to_owned();
            if mode & 0o170_000 == 0o120_000 && !target.as_os_str().is_empty() {
                let end = path.parent().unwrap().join(target);
                // As far as it exists; the rest of the way is only names.
                let mut depth = end.as_path();
                while let Some(above) = depth.parent() {
                    if let Ok(real) = depth.canonicalize() {
                        leads_out |= !real.starts_with(&top);
                        break;
                    }
                    depth = above;
                }
            }
        });
        if self.outside() != self.before {
            return Verdict::Escapes;
        }
        match end {
            None => Verdict::Hangs,
            Some(false) => Verdict::Errors,
            Some(true) if leads_out => Verdict::LeavesLink,
            Some(true) => Verdict::Accepts,
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.absolute);
        parton::tree::remove_all(&self.dest()).unwrap();
    }
}

/// Hands over everything below a directory, however deep, without following links.
fn look(dir: &Path, each: &mut dyn FnMut(&Path, Seen)) {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let content = match meta.file_type() {
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                kind if kind.is_file() && meta.len() < 4096 => fs::read(&path).unwrap_or_default(),
                _ => Vec::new(),
            };
            each(&path, (meta.mode(), if meta.is_dir() { 0 } else { meta.len() }, meta.nlink(), content));
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
}

fn parton(case: &Case, bytes: &[u8]) -> (Verdict, Answer) {
    let cage = Cage::new();
    let said = answer(case, bytes, &cage.dest(), Order::Forward);
    (cage.verdict(Some(matches!(said, Answer::Made(_)))), said)
}

/// The verdict on another reader, and what it made if it says that all went well.
fn peer(program: &[&str], archive: &Path) -> (Verdict, Option<Vec<String>>) {
    let cage = Cage::new();
    let mut command = Command::new(program[0]);
    for word in &program[1..] {
        match *word {
            "ARCHIVE" => command.arg(archive),
            "DEST" => command.arg(cage.dest()),
            word => command.arg(word),
        };
    }
    command.current_dir(cage.dest()).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program[0]));
    let begun = Instant::now();
    let end = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status.success()),
            None if begun.elapsed() > PATIENCE => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    (cage.verdict(end), cage.tree().filter(|_| end == Some(true)))
}

/// The cage would notice: a positive control.
#[test]
fn an_escape_is_noticed() {
    let absolute = tempfile::tempdir().unwrap();
    let escape = |what: &dyn Fn(&Cage)| {
        let cage = Cage::with(&absolute.path().join("outside"));
        what(&cage);
        cage.verdict(Some(true))
    };
    let beside = |cage: &Cage| cage.dir.path().join("beside/file");
    assert_eq!(escape(&|_| {}), Verdict::Accepts);
    assert_eq!(escape(&|cage| fs::write(beside(cage), b"UNTOUCHED").unwrap()), Verdict::Escapes);
    assert_eq!(escape(&|cage| fs::hard_link(beside(cage), cage.dest().join("h")).unwrap()), Verdict::Escapes);
    assert_eq!(escape(&|cage| fs::remove_file(beside(cage)).unwrap()), Verdict::Escapes);
    assert_eq!(escape(&|cage| fs::write(cage.absolute.join("x"), b"").unwrap()), Verdict::Escapes);
    assert_eq!(escape(&|cage| symlink("../beside/file", cage.dest().join("l")).unwrap()), Verdict::LeavesLink);
    assert_eq!(escape(&|cage| symlink("../no/such", cage.dest().join("l")).unwrap()), Verdict::LeavesLink);
    assert_eq!(escape(&|cage| symlink("inside", cage.dest().join("l")).unwrap()), Verdict::Accepts);
}

/// The table, with what parton says, into the file that `ZOO_TABLE` names.
#[test]
#[ignore = "asks GNU tar, bsdtar and dpkg-deb, which a machine may lack; run by ci/zoo"]
fn beside_others() {
    use std::fmt::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    // So that nobody may read it.
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let gnu = ["tar", "-xf", "ARCHIVE"];
    let bsd = ["bsdtar", "-xf", "ARCHIVE"];
    let dpkg = ["dpkg-deb", "-x", "ARCHIVE", "DEST"];
    let mut table = String::new();
    let mut totals: BTreeMap<(&str, Verdict), u32> = BTreeMap::new();
    let mut said_all = String::new();
    let (mut differ, mut alone) = (0, 0);
    for case in cases() {
        let bytes = (case.make)();
        fs::write(&archive, &bytes).unwrap();
        let (ours, said) = parton(&case, &bytes);
        let mut row = vec![("parton", ours)];
        let mut note = "";
        match case.kind {
            Kind::Tar => {
                let ((gnu, gnu_tree), (bsd, bsd_tree)) = (peer(&gnu, &archive), peer(&bsd, &archive));
                row.extend([("GNU tar", gnu), ("bsdtar", bsd)]);
                if let (Some(one), Some(other)) = (gnu_tree, bsd_tree)
                    && one != other
                {
                    differ += 1;
                    note = "they disagree";
                    alone += u32::from(matches!(said, Answer::Made(_)));
                }
            }
            Kind::Deb => row.push(("dpkg-deb", peer(&dpkg, &archive).0)),
        }
        let [a, b, c, d] = ["parton", "GNU tar", "bsdtar", "dpkg-deb"]
            .map(|reader| row.iter().find(|(name, _)| *name == reader).map_or("-", |(_, verdict)| verdict.word()));
        let line = format!("{:<60} {a:<25} {b:<25} {c:<25} {d:<9} {note}", case.name);
        writeln!(table, "{}", line.trim_end()).unwrap();
        for (name, verdict) in row {
            *totals.entry((name, verdict)).or_default() += 1;
        }
        if let Answer::Refused(message) = said {
            let short: String = message.chars().take(110).collect();
            writeln!(said_all, "{:<60} {short}", case.name).unwrap();
        }
    }
    let mut out = format!("{:<60} {:<25} {:<25} {:<25} {}\n", "case", "parton", "GNU tar", "bsdtar", "dpkg-deb");
    out += &table;
    out += "\nin all\n";
    for ((name, verdict), count) in &totals {
        writeln!(out, "  {name:<9} {:<26} {count:>4}", verdict.word()).unwrap();
    }
    writeln!(out, "  GNU tar and bsdtar accept and make different trees   {differ}; of these parton accepts {alone}")
        .unwrap();
    writeln!(out, "\nwhat parton says\n{said_all}").unwrap();
    let path = std::env::var_os("ZOO_TABLE")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo.txt"), Into::into);
    fs::write(path, out).unwrap();
    for bad in [Verdict::Escapes, Verdict::Hangs, Verdict::LeavesLink] {
        // A package's links lead to the root of the jail that it is laid out for.
        let allowed = u32::from(bad == Verdict::LeavesLink);
        assert!(totals.get(&("parton", bad)).copied().unwrap_or_default() <= allowed, "{bad:?}");
    }
}
