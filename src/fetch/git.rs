//! One commit of a git repository, exported as plain files.
//!
//! The commit id decides: every object is checked against its id while it is received, and the pin of a spec holds the
//! digest of the exported tree beside it, because commit ids are SHA-1. What is exported is what the commit's tree says
//! and nothing else: no `.git`, no conversion of line ends, no substitutions or omissions by attributes.

use super::fetcher::Fetcher;
use super::git_http::{Carrier, with_carrier};
use super::place::without_credentials;
use crate::base::{Cancel, Events, Progress, RelPath, Task, printable};
use git2::{AutotagOption, Direction, FetchOptions, ObjectType, Oid, RemoteCallbacks, Repository};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Directories within directories, at most.
const DEPTH: usize = 128;
/// Files and directories of one commit, at most.
const ENTRIES: usize = 2_000_000;

/// A commit that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its id.
    pub commit: String,
    /// When it was committed, seconds since 1970; every exported file has this modification time.
    pub time: i64,
    /// Files and links, in git's order.
    pub entries: Vec<Entry>,
    /// Whether the server gave this commit alone, without its history.
    pub shallow: bool,
}

/// One exported file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the export.
    pub path: RelPath,
    /// What it is.
    pub kind: EntryKind,
    /// git's id of the content.
    pub id: String,
    /// Size of the content in bytes.
    pub size: u64,
}

/// What an exported entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Mode 644.
    File,
    /// Mode 755.
    Executable,
    /// A symbolic link; its content is the target.
    Link,
}

/// Why a commit could not be fetched or exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a full commit id.
    #[error("'{0}' is not a commit id of 40 hexadecimal digits")]
    CommitId(String),
    /// A kind of address that is not spoken.
    #[error("fetch {url}: parton fetches from file, git, http and https addresses")]
    Address {
        /// The address.
        url: String,
    },
    /// The network may not be used.
    #[error("fetch commit {commit} from {url}: parton is offline")]
    Offline {
        /// The address.
        url: String,
        /// The commit.
        commit: String,
    },
    /// The user wanted to stop.
    #[error("fetch {url}: stopped on request")]
    Cancelled {
        /// The address.
        url: String,
    },
    /// The repository could not be read.
    #[error("fetch commit {commit} from {url}: {why}")]
    Remote {
        /// The address.
        url: String,
        /// The commit.
        commit: String,
        /// What git says.
        why: String,
    },
    /// The repository has no such commit.
    #[error("{url} has no commit {commit} that can be reached from a branch or tag")]
    NoCommit {
        /// The address.
        url: String,
        /// The commit.
        commit: String,
    },
    /// Objects of the commit are larger than allowed.
    #[error("fetch commit {commit} from {url}: more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The commit.
        commit: String,
        /// The limit.
        limit: u64,
    },
    /// The commit's tree holds something that is not exported.
    #[error("export {path} of commit {commit}: {why}")]
    Entry {
        /// The commit.
        commit: String,
        /// The entry.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The local disk said no.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was being done, as an imperative.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// What a person can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::CommitId(_) => "write the full id, as `git rev-parse TAG^{commit}` prints it",
            Self::Offline { .. } => "run once without --offline",
            Self::NoCommit { .. } => "upstream may have rewritten the branch; compare the tag with what it announced",
            Self::Entry { .. } => "pin an archive of the release instead, or each repository by itself",
            _ => return None,
        })
    }
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { doing, path, source }
}

impl Fetcher {
    /// Makes `dest`, which must not exist, a directory with exactly the files of a commit.
    ///
    /// Asks for this commit alone where the server allows it, else for everything its branches and tags reach.
    pub fn git(
        &self,
        url: &str,
        commit: &str,
        dest: &Path,
        events: Events<'_>,
        cancel: &Cancel,
    ) -> Result<Exported, Error> {
        let id = Oid::from_str(commit).ok().filter(|_| commit.len() == 40);
        let id = id.ok_or_else(|| Error::CommitId(printable(commit.as_bytes())))?;
        let shown = without_credentials(url);
        let scheme = url.split("://").next().unwrap_or_default();
        if !matches!(scheme, "file" | "git" | "http" | "https") || !url.contains("://") {
            return Err(Error::Address { url: shown });
        }
        if self.net.is_offline() && scheme != "file" {
            return Err(Error::Offline { url: shown, commit: commit.to_owned() });
        }
        // Beside what it is for, so that whoever removes that after a crash removes this as well.
        let dir = dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let scratch = tempfile::Builder::new().prefix(".git-").tempdir_in(dir);
        let scratch = scratch.map_err(disk("make a directory in", dir))?;
        let progress = Progress::start(events, Task::Download, format!("{shown} {}", &commit[..12]), None);
        let carrier =
            Carrier { net: std::sync::Arc::clone(&self.net), proxy: self.config.proxy.clone(), cancel: cancel.clone() };
        let job = Job { url, commit, id, shown: &shown, limit: self.config.max_size, progress: &progress, cancel };
        let exported = with_carrier(carrier, || {
            let (repository, shallow) = job.obtain(scratch.path())?;
            job.export(&repository, shallow, dest)
        })
        .map_err(|e| job.remote(&e))??;
        progress.done();
        Ok(exported)
    }
}

struct Job<'a> {
    url: &'a str,
    commit: &'a str,
    id: Oid,
    /// For messages.
    shown: &'a str,
    limit: u64,
    progress: &'a Progress<'a>,
    cancel: &'a Cancel,
}

impl Job<'_> {
    fn remote(&self, error: &git2::Error) -> Error {
        let why = printable(error.message().as_bytes());
        Error::Remote { url: self.shown.to_owned(), commit: self.commit.to_owned(), why }
    }

    /// A repository with the commit in it.
    fn obtain(&self, scratch: &Path) -> Result<(Repository, bool), Error> {
        let repository = Repository::init_bare(scratch.join("repository")).map_err(|e| self.remote(&e))?;
        // libgit2 reads a local repository directly and knows no shallow way of doing so.
        if !self.url.starts_with("file:") {
            let by_id = format!("+{}:refs/parton/commit", self.commit);
            match self.receive(&repository, &[&by_id], 1) {
                Ok(()) if repository.find_commit(self.id).is_ok() => return Ok((repository, true)),
                // A server that gives only what has a name: the commit's own, if it has one, else all of it.
                Ok(()) | Err(Error::Remote { .. }) => {}
                Err(e) => return Err(e),
            }
            if let Some(name) = self.name(&repository)? {
                self.receive(&repository, &[&format!("+{name}:refs/parton/commit")], 1)?;
                if repository.find_commit(self.id).is_ok() {
                    return Ok((repository, true));
                }
            }
        }
        self.receive(&repository, &["+refs/heads/*:refs/parton/heads/*", "+refs/tags/*:refs/parton/tags/*"], 0)?;
        if repository.find_commit(self.id).is_err() {
            return Err(Error::NoCommit { url: self.shown.to_owned(), commit: self.commit.to_owned() });
        }
        Ok((repository, false))
    }

    /// The branch or tag that is this very commit.
    fn name(&self, repository: &Repository) -> Result<Option<String>, Error> {
        let mut remote = repository.remote_anonymous(self.url).map_err(|e| self.remote(&e))?;
        let connection = remote.connect_auth(Direction::Fetch, None, None).map_err(|e| self.remote(&e))?;
        let heads = connection.list().map_err(|e| self.remote(&e))?;
        let name = heads.iter().find(|head| head.oid() == self.id && head.name().starts_with("refs/"));
        // An annotated tag is listed twice; the line that ends so is the commit it stands for.
        Ok(name.map(|head| head.name().trim_end_matches("^{}").to_owned()))
    }

    fn receive(&self, repository: &Repository, refspecs: &[&str], depth: i32) -> Result<(), Error> {
        let too_large = AtomicBool::new(false);
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|stats| {
            let received = stats.received_bytes() as u64;
            self.progress.advance(received);
            too_large.store(received > self.limit, Ordering::Relaxed);
            received <= self.limit && !self.cancel.is_cancelled()
        });
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks).download_tags(AutotagOption::None).update_fetchhead(false);
        if depth > 0 {
            options.depth(depth);
        }
        let mut remote = repository.remote_anonymous(self.url).map_err(|e| self.remote(&e))?;
        let outcome = remote.fetch(refspecs, Some(&mut options), None);
        drop(options);
        match outcome {
            _ if self.cancel.is_cancelled() => Err(Error::Cancelled { url: self.shown.to_owned() }),
            Err(_) if too_large.load(Ordering::Relaxed) => {
                Err(Error::TooLarge { url: self.shown.to_owned(), commit: self.commit.to_owned(), limit: self.limit })
            }
            outcome => outcome.map_err(|e| self.remote(&e)),
        }
    }

    /// Writes the commit's tree beside `dest` and then gives it that name.
    fn export(&self, repository: &Repository, shallow: bool, dest: &Path) -> Result<Exported, Error> {
        let commit = repository.find_commit(self.id).map_err(|e| self.remote(&e))?;
        let time = commit.time().seconds();
        let parent = dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temp =
            tempfile::Builder::new().prefix(".new-").tempdir_in(parent).map_err(disk("make a directory in", parent))?;
        let root = temp.path().join("tree");
        std::fs::create_dir(&root).map_err(disk("make the directory", &root))?;
        let mut writer = Writer { job: self, repository, root: &root, entries: Vec::new(), seen: 0, bytes: 0, time };
        let tree = commit.tree().map_err(|e| self.remote(&e))?;
        writer.tree(&tree, None, 0)?;
        set_mode(&root, 0o755)?;
        set_time(&root, time)?;
        let entries = writer.entries;
        if dest.symlink_metadata().is_ok() {
            let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(disk("make the directory", dest)(exists));
        }
        std::fs::rename(&root, dest).map_err(disk("move the export to", dest))?;
        Ok(Exported { commit: self.commit.to_ascii_lowercase(), time, entries, shallow })
    }
}

struct Writer<'a> {
    job: &'a Job<'a>,
    repository: &'a Repository,
    root: &'a Path,
    entries: Vec<Entry>,
    seen: usize,
    bytes: u64,
    time: i64,
}

impl Writer<'_> {
    fn refuse(&self, path: &[u8], why: impl Into<String>) -> Error {
        Error::Entry { commit: self.job.commit.to_owned(), path: printable(path), why: why.into() }
    }

    fn tree(&mut self, tree: &git2::Tree<'_>, at: Option<&RelPath>, depth: usize) -> Result<(), Error> {
        for item in tree {
            let name = item.name_bytes();
            let path = self.path(at, name)?;
            self.seen += 1;
            if self.seen > ENTRIES || depth > DEPTH {
                return Err(self.refuse(path.as_bytes(), "the tree is too large or too deep"));
            }
            if self.job.cancel.is_cancelled() {
                return Err(Error::Cancelled { url: self.job.shown.to_owned() });
            }
            let full = self.root.join(&path);
            match (item.kind(), item.filemode_raw()) {
                (Some(ObjectType::Tree), _) => {
                    let subtree = self.repository.find_tree(item.id()).map_err(|e| self.job.remote(&e))?;
                    std::fs::create_dir(&full).map_err(disk("make the directory", &full))?;
                    self.tree(&subtree, Some(&path), depth + 1)?;
                    set_mode(&full, 0o755)?;
                    set_time(&full, self.time)?;
                }
                (Some(ObjectType::Blob), mode) => self.blob(&item, path, &full, mode)?,
                (Some(ObjectType::Commit), _) => {
                    let why = "it is a submodule; parton fetches each repository by its own pin";
                    return Err(self.refuse(path.as_bytes(), why));
                }
                _ => return Err(self.refuse(path.as_bytes(), "it is neither file, link nor directory")),
            }
        }
        Ok(())
    }

    /// The path of an entry; a name that is more than a name, or that git itself would not write, is refused.
    fn path(&self, at: Option<&RelPath>, name: &[u8]) -> Result<RelPath, Error> {
        let path = match at {
            Some(dir) => dir.join(name),
            None => RelPath::new(name),
        };
        if name.contains(&b'/') || matches!(name, b"" | b".") || name.eq_ignore_ascii_case(b".git") {
            return Err(self.refuse(name, "the name is not allowed"));
        }
        path.map_err(|e| self.refuse(name, e.to_string()))
    }

    fn blob(&mut self, item: &git2::TreeEntry<'_>, path: RelPath, full: &Path, mode: i32) -> Result<(), Error> {
        let blob = self.repository.find_blob(item.id()).map_err(|e| self.job.remote(&e))?;
        let content = blob.content();
        self.bytes += content.len() as u64;
        if self.bytes > self.job.limit {
            return Err(self.refuse(path.as_bytes(), format!("the files have more than {} bytes", self.job.limit)));
        }
        let kind = match mode {
            0o120_000 => EntryKind::Link,
            0o100_755 => EntryKind::Executable,
            // Very old commits have files of mode 664; git treats them as 644.
            0o100_644 | 0o100_664 => EntryKind::File,
            other => return Err(self.refuse(path.as_bytes(), format!("it has the unknown mode {other:o}"))),
        };
        if kind == EntryKind::Link {
            let target = std::ffi::OsStr::from_bytes(content);
            std::os::unix::fs::symlink(target, full).map_err(disk("make the link", full))?;
        } else {
            let bits = if kind == EntryKind::Executable { 0o755 } else { 0o644 };
            // Never over something that is there already: a tree with one name twice is not followed anywhere.
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(bits)
                .open(full)
                .map_err(disk("make the file", full))?;
            file.write_all(content).map_err(disk("write the file", full))?;
            set_mode(full, bits)?;
        }
        set_time(full, self.time)?;
        self.entries.push(Entry { path, kind, id: item.id().to_string(), size: content.len() as u64 });
        Ok(())
    }
}

/// Sets exactly this mode, whatever the process's mask.
fn set_mode(path: &Path, bits: u32) -> Result<(), Error> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(bits);
    std::fs::set_permissions(path, mode).map_err(disk("set the mode of", path))
}

/// Sets access and modification time, of a link itself rather than of what it points to.
fn set_time(path: &Path, seconds: i64) -> Result<(), Error> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| disk("set the time of", path)(e.into()))
}
