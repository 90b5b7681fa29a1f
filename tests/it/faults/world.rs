//! A workspace whose seed is made of this machine's shell and a few tools, served from the loopback in small pieces: builds
//! in it are as real as any, take a tenth of a second, and need no network.

use super::errors::copy;
use crate::common::{Env, parton};
use crate::fetch::server::{Request, Server, head, reply};
use parton::base::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The workspace, with a server that has everything it fetches.
pub struct World {
    env: Env,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    server: Server,
}

impl World {
    pub fn new() -> Self {
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&files);
        let server = Server::start(move |request, stream| {
            let file = served.lock().unwrap().get(&request.path).cloned();
            match file {
                Some(content) => slowly(request, stream, &content),
                None => reply(stream, "404 Not Found", &[], b"no"),
            }
        });
        let world = Self { env: Env::with_own_store(), files, server };
        fs::create_dir(world.env.path().join("temporary")).unwrap();
        world.env.write(
            "parton.toml",
            format!(
                "[workspace]\nprofile = \"tiny\"\n\n[fetch]\nmirrors = [\"{}\"]\n\n[profile.tiny]\nseed = \"specs/seed.lock\"\n\
                 target = \"x86_64-linux-musl\"\nsysroot = \"/sysroot\"\ninterpreter = \"/lib/ld-musl-x86_64.so.1\"\n\
                 provides = [\"libc.so\"]\n",
                world.server.url("")
            ),
        );
        world.seed();
        world.script(
            "base",
            "",
            "mkdir $OUT/usr/b; sleep 0.05; for i in 1 2 3 4 5 6 7 8 9; do cat README > $OUT/usr/b/$i; done",
        );
        world.script(
            "user",
            "host = [\"base\"]",
            "cp -r /sysroot/usr/b $OUT/usr/u; sleep 0.05; echo user > $OUT/usr/user",
        );
        let many =
            "i=0; while [ $i -lt 150 ]; do d=$OUT/usr/$((i % 7))/x; mkdir -p $d; echo $i > $d/$i; i=$((i + 1)); done";
        world.script("wide", "", many);
        world.script(
            "leaky",
            "",
            "for i in 1 2 3 4 5 6 7 8 9; do echo $i $JOBS > $OUT/usr/$i; done; cp -r . $OUT/usr/same",
        );
        world
    }

    /// Writes or replaces a package.
    pub fn script(&self, name: &str, needs: &str, script: &str) {
        let readme: String = (0..3000).map(|n| format!("{name} {n}\n")).collect();
        let many: Vec<(String, String)> = (0..40).map(|n| (format!("many/{n}"), format!("{n} of {name}"))).collect();
        let mut source = vec![("README", readme.as_str())];
        source.extend(many.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        let needs = if needs.is_empty() { String::new() } else { format!("[needs]\n{needs}\n\n") };
        self.env.package(
            name,
            &source,
            &format!(
                "{needs}[build]\nsystem = \"script\"\n\n[build.phases]\ninstall = '''\nmkdir -p $OUT/usr\n{script}\n'''\n"
            ),
        );
        let (file, spec) = (format!("{name}-1.0.tar"), format!("specs/{name}/spec.toml"));
        self.serve(&file, fs::read(self.env.path().join(&file)).unwrap());
        let text = fs::read_to_string(self.env.path().join(&spec)).unwrap();
        let local = format!("file://{}/{file}", self.env.path().display());
        assert!(text.contains(&local));
        self.env.write(&spec, text.replace(&local, &self.server.url(&file)));
    }

    fn serve(&self, name: &str, content: Vec<u8>) {
        self.files.lock().unwrap().insert(format!("/{name}"), content);
    }

    /// The seed: this machine's shell and tools with their libraries, and ballast for the unpacking to take a while.
    fn seed(&self) {
        let mut files = BTreeMap::new();
        for tool in ["sh", "mkdir", "cp", "cat", "sleep"] {
            let path = format!("/bin/{tool}");
            files.insert(format!("usr/bin/{tool}"), fs::read(&path).unwrap());
            let listed = Command::new("ldd").arg(&path).output().unwrap();
            for word in String::from_utf8(listed.stdout).unwrap().split_ascii_whitespace() {
                if word.starts_with('/') {
                    let usr = word.trim_start_matches('/').trim_start_matches("usr/");
                    files.insert(format!("usr/{usr}"), fs::read(word).unwrap());
                }
            }
        }
        let ballast = (0..400).map(|n| (format!("usr/share/{}/{n}", n % 10), n.to_string().repeat(500).into_bytes()));
        let mut lock = "suite = \"none\"\narch = \"amd64\"\n".to_owned();
        for (name, files) in [("ballast", ballast.collect()), ("shell", files)] {
            let package = deb(&files);
            lock.push_str(&format!(
                "\n[[package]]\nname = \"{name}\"\nversion = \"1\"\nsize = {}\nsha256 = \"{}\"\npath = \"pool/{name}.deb\"\n",
                package.len(),
                Sha256::of(&package)
            ));
            self.serve(&format!("{name}_1.deb"), package);
        }
        self.env.write("specs/seed.lock", lock);
        self.env.write(
            "specs/seed.toml",
            "suite = \"none\"\narch = \"amd64\"\npackages = [\"ballast\", \"shell\"]\n\n[links]\nbin = \"usr/bin\"\n\
             lib = \"usr/lib\"\nlib64 = \"usr/lib64\"\n",
        );
    }

    /// The directory, which holds the workspace and may hold stores.
    pub fn path(&self) -> &Path {
        self.env.path()
    }

    /// A command that runs parton on this store.
    pub fn command(&self, store: &Path, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("PARTON_STORE", store).env("TMPDIR", self.temporary());
        command
    }

    /// The same, but it first reads a line from its standard input.
    pub fn waiting(&self, store: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "read go; exec \"$@\" < /dev/null", "sh"]).arg(parton()).args(args);
        command.current_dir(self.path()).env_clear().env("HOME", self.path()).env("PATH", "/usr/bin:/bin");
        command.env("PARTON_STORE", store).env("TMPDIR", self.temporary());
        command
    }

    /// Runs parton to its end, which must come.
    pub fn run(&self, store: &Path, args: &[&str]) -> Ran {
        let mut child = self.command(store, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("parton {args:?} hangs\n{}\n{}", out.join().unwrap(), err.join().unwrap());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ran { code, out: out.join().unwrap(), err: err.join().unwrap(), took: begun.elapsed() }
    }

    fn temporary(&self) -> PathBuf {
        self.path().join("temporary")
    }

    /// What is left where nothing may be after a run that stages: processes and mounts that know this store, and temporary
    /// files outside and inside of it.
    pub fn leftovers(&self, store: &Path) -> Vec<String> {
        // A build of what is known stages nothing.
        let staged = self.run(store, &["fetch", "base"]);
        assert_eq!(staged.code, Some(0), "{staged:#?}");
        let begun = Instant::now();
        let mut left = alive(store);
        while !left.is_empty() && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(5));
            left = alive(store);
        }
        for dir in [store.join("tmp"), self.temporary()] {
            let names = fs::read_dir(dir).into_iter().flatten().flatten();
            left.extend(names.map(|entry| entry.path().display().to_string()));
        }
        for entry in fs::read_dir(store.join("partial")).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with("lock-") {
                left.push(entry.path().display().to_string());
            }
        }
        left
    }
}

/// How long a command may take. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a run of parton came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    #[expect(dead_code, reason = "shown when a test fails")]
    pub err: String,
    pub took: Duration,
}

/// The outputs that a build's report names, by package.
pub fn outputs(report: &str) -> BTreeMap<String, String> {
    let report: serde_json::Value = serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: {report}"));
    let packages = report["packages"].as_array().unwrap();
    packages.iter().map(|p| (p["name"].as_str().unwrap().to_owned(), p["output"].to_string())).collect()
}

fn drain(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A good server's answer, in pieces: there shall be instants in the middle of it.
fn slowly(request: &Request, stream: &mut TcpStream, content: &[u8]) {
    let from = request.range().unwrap_or(0).min(content.len());
    let length = ("Content-Length", (content.len() - from).to_string());
    let range = ("Content-Range", format!("bytes {from}-{}/{}", content.len().saturating_sub(1), content.len()));
    if from > 0 && from == content.len() {
        return reply(
            stream,
            "416 Range Not Satisfiable",
            &[("Content-Range", format!("bytes */{}", content.len()))],
            b"",
        );
    }
    match from {
        0 => head(stream, "200 OK", &[length]),
        _ => head(stream, "206 Partial Content", &[length, range]),
    }
    for piece in content[from..].chunks((content.len() / 16).max(4096)) {
        let _ = stream.write_all(piece);
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A binary package of these files.
fn deb(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(if path.starts_with("usr/share") { 0o644 } else { 0o755 });
        header.set_entry_type(tar::EntryType::Regular);
        data.append_data(&mut header, format!("./{path}"), content.as_slice()).unwrap();
    }
    let control = tar::Builder::new(Vec::new()).into_inner().unwrap();
    let members =
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", data.into_inner().unwrap())];
    let mut package = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(package, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len()).unwrap();
        package.extend_from_slice(&content);
        package.extend(std::iter::repeat_n(b'\n', content.len() % 2));
    }
    package
}

/// Processes other than this one in whose arguments or mounts a path occurs.
fn alive(path: &Path) -> Vec<String> {
    let needle = memchr::memmem::Finder::new(path.to_str().unwrap());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else { continue };
        for of in ["cmdline", "mountinfo"] {
            let text = fs::read(entry.path().join(of)).unwrap_or_default();
            if (of == "mountinfo" || pid != std::process::id()) && needle.find(&text).is_some() {
                found.push(format!("process {pid} ({of})"));
            }
        }
    }
    found
}

/// Every object of a store by kind and name, and every name of a package.
pub fn objects(store: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in ["blob", "tree", "log", "drv", "seed", "name"] {
        for entry in fs::read_dir(store.join(kind)).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.contains('.') {
                found.insert(format!("{kind}/{name}"));
            }
        }
    }
    found
}

/// A copy of a store that goes away with the value.
pub struct Copied(PathBuf);

impl Copied {
    pub fn of(template: &Path, to: PathBuf) -> Self {
        if template.exists() {
            copy(template, &to);
        }
        Self(to)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = parton::tree::remove_all(&self.0);
    }
}
