//! A hermetic place to run parton in: own home, own workspace, own store; nothing of the machine's environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program under test; another copy of it where the environment says so, for tests that are re-executed as another
/// user, who may not be able to reach this one.
pub fn parton() -> PathBuf {
    std::env::var_os("PARTON_IT_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_parton").into(), PathBuf::from)
}

/// A workspace in a directory of its own, which goes away with the value.
pub struct Env {
    dir: tempfile::TempDir,
    store: PathBuf,
}

/// What a run of parton came to.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Run {
    /// The run, which must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// The run, which must have ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// The project's own directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A store that outlives one run of the tests, so that the seed is fetched and unpacked once. Tests that break stores
/// take their own with [`Env::with_own_store`]. Another user's tests are told theirs.
pub fn shared_store() -> PathBuf {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("store");
    std::env::var_os("PARTON_IT_STORE").map_or_else(default, PathBuf::from)
}

impl Env {
    /// An empty directory and the shared store.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), store: shared_store() }
    }

    /// An empty directory and a store of its own.
    pub fn with_own_store() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        Self { dir, store }
    }

    /// A workspace like the project's, with its seed but none of its specs.
    pub fn workspace() -> Self {
        let env = Self::new();
        env.copy_seed();
        env
    }

    /// Copies what a workspace needs besides specs.
    pub fn copy_seed(&self) {
        // The profiles after the first are made of the project's own packages.
        let config = include_str!("../../parton.toml");
        let end = config.find("# The toolchain from source.").unwrap();
        self.write("parton.toml", config[..end].replace("profile = \"native\"", "profile = \"seed\""));
        self.write("specs/seed.toml", include_str!("../../specs/seed.toml"));
        self.write("specs/seed.lock", include_str!("../../specs/seed.lock"));
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Writes a file below the directory.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A command that runs parton here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(parton());
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("PARTON_STORE", &self.store)
            .stdin(Stdio::null());
        command
    }

    /// Runs parton here.
    #[must_use = "look at the exit code, or the test proves nothing"]
    pub fn run(&self, args: &[&str]) -> Run {
        let out = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap()
                .replace(self.path().to_str().unwrap(), "DIR")
                .replace(self.store.to_str().unwrap(), "STORE")
        };
        Run { stdout: text(out.stdout), stderr: text(out.stderr), code: out.status.code() }
    }
}

/// Numbers that look random and depend on the seed alone.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 and less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// From 0 and less than 1.
    pub fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn coin(&mut self, likely: f64) -> bool {
        self.part() < likely
    }
}
