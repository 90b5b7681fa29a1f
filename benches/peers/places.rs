//! Where things lie, and how they get there.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The parton that is measured.
pub const PARTON: &str = env!("CARGO_BIN_EXE_parton");

/// The project, with its specs.
pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Directories that outlive a run.
pub struct Places {
    work: PathBuf,
    /// The store that everything is built and fetched in.
    pub store: PathBuf,
}

impl Places {
    pub fn new(store: Option<PathBuf>) -> Result<Self> {
        let work = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target directory is /")?.join("bench");
        fs::create_dir_all(&work)?;
        let store = match store {
            Some(path) => std::path::absolute(path)?,
            None => work.join("store"),
        };
        Ok(Self { work, store })
    }

    /// A directory that `make` fills once. Half-filled ones do not count.
    pub fn once(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.work.join(name);
        if !path.exists() {
            let partial = self.fresh(&format!("{name}.partial"))?;
            make(&partial)?;
            fs::rename(&partial, &path)?;
        }
        Ok(path)
    }

    /// A path that nothing is at.
    pub fn vacant(&self, name: &str) -> Result<PathBuf> {
        let path = self.work.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(path),
        }
    }

    /// An empty directory.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.vacant(name)?;
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A command of parton in a workspace, on the bench's store, with the compiler that is there at once.
    pub fn parton(&self, workspace: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(PARTON);
        command.arg("--store").arg(&self.store).args(["--profile", "seed"]).args(args).current_dir(workspace);
        command
    }

    /// Runs a command of parton that prepares something.
    pub fn prepare(&self, workspace: impl AsRef<Path>, args: &[&str]) -> Result<()> {
        run(self.parton(workspace, args).arg("--quiet"))
    }
}

/// Runs a command that must succeed; its output is nobody's business.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Whether a program is on this machine, judged by asking it for its version.
pub fn version(program: &str) -> Option<String> {
    let out = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let word = |line: &str| {
        line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    };
    Some(text.lines().find_map(word).unwrap_or_default())
}

/// This program, as a child that does one thing.
pub fn this(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child").args(args);
    Ok(command)
}
