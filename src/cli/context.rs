//! From flags, environment and configuration to a session.

use super::args::{Global, Pace, Selection};
use super::error::{CommandError, Failure, Kind};
use super::progress::Progress;
use super::render;
use super::shell::Shell;
use crate::base::{Cancel, Diagnostic};
use crate::ops::{self, Host, Session, Settings, Target};
use crate::spec::{self, LoadError, Workspace};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Everything a command works with.
pub struct Context<'a> {
    /// Shows events.
    pub progress: Progress<'a>,
    /// Whether to stop; set by the first interrupt.
    pub cancel: Cancel,
    workspace: Workspace,
    profile: Option<String>,
    /// The store.
    pub store: ops::OpenStore,
    host: Host,
}

/// What `parton check` found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// How many specs there are.
    pub specs: usize,
    /// How many warnings were said.
    pub warnings: usize,
}

/// The directory that relative paths mean.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for the working directory")]
pub fn working_directory(global: &Global) -> Result<PathBuf, CommandError> {
    let here = std::env::current_dir()
        .map_err(|error| CommandError::new(Kind::Mistake, format!("find the working directory: {error}")))?;
    Ok(global.directory.as_ref().map_or(here.clone(), |dir| here.join(dir)))
}

/// The nearest directory upwards with a `parton.toml`.
fn workspace_root(global: &Global) -> Result<PathBuf, CommandError> {
    let start = working_directory(global)?;
    let found = start.ancestors().find(|dir| dir.join("parton.toml").is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        CommandError::new(Kind::Mistake, format!("no parton.toml in {} or above it", start.display()))
            .hint("`parton init DIR` starts a spec repository")
    })
}

/// Whether there is a workspace here.
pub fn in_workspace(global: &Global) -> bool {
    workspace_root(global).is_ok()
}

/// Loads the workspace, with the warnings about it. Only `parton check` says them: they would stand before every answer.
fn load(global: &Global, shell: &Shell) -> Result<(Workspace, Vec<Diagnostic>), CommandError> {
    let root = workspace_root(global)?;
    spec::load(&root).map_err(|error| match error {
        LoadError::Mistakes(list) => mistakes(shell, &list),
        other => CommandError::from_error(Kind::Mistake, &other),
    })
}

/// Draws mistakes, and leaves the exit code.
fn mistakes(shell: &Shell, list: &[Diagnostic]) -> CommandError {
    shell.line(&render::render(list, shell.err_colour()));
    let count = list.len();
    CommandError::new(Kind::Mistake, format!("{count} mistake{}", if count == 1 { "" } else { "s" }))
}

/// `parton check`: loads everything and plans everything.
pub fn check(global: &Global, shell: &Shell) -> Result<Checked, CommandError> {
    let (workspace, warnings) = load(global, shell)?;
    if !shell.quiet() && !warnings.is_empty() {
        shell.line(&render::render(&warnings, shell.err_colour()));
    }
    ops::check(&workspace).map_err(|error| translate(shell, error))?;
    Ok(Checked { specs: workspace.specs.len(), warnings: warnings.len() })
}

/// A variable of the environment; empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the store is when nobody says otherwise: among the user's data, for it holds results.
fn default_store() -> Result<PathBuf, CommandError> {
    let data = env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| env("HOME").map(|home| Path::new(&home).join(".local/share")));
    data.map(|dir| dir.join("parton/store")).ok_or_else(|| {
        CommandError::new(Kind::Mistake, "neither XDG_DATA_HOME nor HOME says where the store may be")
            .hint("name a directory with --store or PARTON_STORE")
    })
}

impl<'a> Context<'a> {
    /// Loads the workspace and opens the store.
    pub fn open(global: &Global, shell: &'a Shell) -> Result<Self, CommandError> {
        let (workspace, _) = load(global, shell)?;
        Self::assemble(global, shell, workspace)
    }

    /// The same for commands that need no spec: mistakes in specs do not matter.
    pub fn open_store_only(global: &Global, shell: &'a Shell) -> Result<Self, CommandError> {
        let workspace = match workspace_root(global) {
            Ok(root) => spec::load_config(&root).map_err(|error| match error {
                LoadError::Mistakes(list) => mistakes(shell, &list),
                other => CommandError::from_error(Kind::Mistake, &other),
            })?,
            Err(_) => Workspace::empty(working_directory(global)?),
        };
        Self::assemble(global, shell, workspace)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock and the environment")]
    fn assemble(global: &Global, shell: &'a Shell, workspace: Workspace) -> Result<Self, CommandError> {
        let store = match (&global.store, &workspace.config.store) {
            (Some(path), _) => working_directory(global)?.join(path),
            (None, Some(path)) => workspace.root.join(path),
            (None, None) => default_store()?,
        };
        let host = Host {
            store,
            offline: global.offline,
            now: SystemTime::now(),
            proxy: env("https_proxy").or_else(|| env("HTTPS_PROXY")).or_else(|| env("http_proxy")),
            no_proxy: env("no_proxy").or_else(|| env("NO_PROXY")),
            ca_bundle: env("SSL_CERT_FILE").map(PathBuf::from),
        };
        let cancel = Cancel::new();
        interrupts(&cancel)?;
        let progress = Progress::new(shell);
        let store =
            ops::open_store(&host, &|event| progress.event(event), &cancel).map_err(|error| translate(shell, error))?;
        Ok(Self { progress, cancel, workspace, profile: global.profile.clone(), store, host })
    }

    /// Processors that this process may use.
    pub fn cpus(&self) -> u32 {
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
    }

    /// How to build at this pace: everything that is not known, and no further than the first failure.
    pub fn settings(&self, pace: &Pace) -> Settings {
        let cpus = self.cpus();
        Settings {
            rounds: pace.rounds,
            jobs: pace.jobs.unwrap_or(cpus),
            parallel: pace.parallel.unwrap_or(cpus.min(8)),
            cpus,
            check: !pace.no_check,
            vary: None,
            rebuild: false,
            keep_going: false,
        }
    }

    /// Runs a command in a session.
    pub fn with<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let events = |event| self.progress.event(event);
        let fetcher = ops::fetcher(&self.host, &self.workspace, &self.store);
        let launcher = ops::launcher();
        let session = Session {
            workspace: &self.workspace,
            profile: self.profile.as_deref(),
            store: &self.store,
            fetcher: &fetcher,
            launcher: &launcher,
            events: &events,
            cancel: &self.cancel,
        };
        work(&session)
    }
}

/// The first interrupt asks everything to stop, the second one does not ask.
fn interrupts(cancel: &Cancel) -> Result<(), CommandError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| CommandError::new(Kind::Host, format!("watch for interrupts: {error}")))?;
    // A file that may not grow is then an error with a name, not the end of this process.
    let too_large = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, too_large)
        .map_err(|error| CommandError::new(Kind::Host, format!("watch for files that may not grow: {error}")))?;
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if cancel.is_cancelled() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            cancel.cancel();
        }
    });
    Ok(())
}

impl Selection {
    /// What was selected.
    pub fn target(&self) -> Target {
        if self.all { Target::All } else { Target::Names(self.packages.clone()) }
    }
}

/// The one place where an error of the library gets its exit code and its advice.
pub fn translate(shell: &Shell, error: ops::Error) -> CommandError {
    use ops::Error;
    match &error {
        Error::Mistakes(list) => mistakes(shell, list),
        Error::Cancelled => CommandError::new(Kind::Interrupted, "interrupted; what was finished is kept"),
        Error::Profile { .. }
        | Error::Seed { .. }
        | Error::Unknown(_)
        | Error::NoHolder(_)
        | Error::Nowhere(_)
        | Error::NotComparable(_)
        | Error::NotDiverse(_)
        | Error::NoSeed
        | Error::NoToolchain(_)
        | Error::Unexportable { .. }
        | Error::NotBuilt { .. }
        | Error::Exists(_)
        | Error::NeedsFirst { .. } => CommandError::from_error(Kind::Mistake, &error),
        Error::Source { error: cause, .. } => {
            let out = CommandError::from_error(Kind::Source, &error);
            cause.help().into_iter().fold(out, CommandError::hint)
        }
        Error::Signature { .. } | Error::GitTree { .. } | Error::SeedTree { .. } => CommandError::from_error(
            Kind::Source,
            &error,
        )
        .hint(
            "compare key, fingerprint and digest with what upstream announces; do not change the pin to make this pass",
        ),
        Error::Sandbox(cause) | Error::Round(crate::ops::RoundError::Sandbox(cause)) => {
            let out = CommandError::from_error(Kind::Host, &error);
            cause.help().into_iter().fold(out, CommandError::hint)
        }
        _ => CommandError::from_error(Kind::Failed, &error),
    }
}
