use super::{Object, Waiting};
use crate::base::{DrvId, printable};
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked. The store is consistent after each of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory holds a store of another version.
    #[error(
        "{} has store format {found}, this parton knows only {known}; use the parton that made it, or name another \
         directory",
        show(path)
    )]
    Format {
        /// The store.
        path: PathBuf,
        /// What its `format` file says, made printable.
        found: String,
        /// What it would have to say.
        known: &'static str,
    },
    /// The directory is in use for something else.
    #[error(
        "{} is not a store, and holds other files ({}); name an empty or new directory",
        show(path),
        show(Path::new(found))
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the other files.
        found: PathBuf,
    },
    /// The file system can't carry a store.
    #[error(
        "{} can't hold a store: {missing} failed there ({source}); name a directory on a local, writable file system",
        show(path)
    )]
    Unfit {
        /// The store.
        path: PathBuf,
        /// What was tried.
        missing: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// A call to the file system failed.
    #[error("could not {doing} {}: {source}{}", show(path), advice(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A record, pin or name refers to something that is not in the store.
    #[error("the {object} is not in the store; it must be put there before {by} refers to it")]
    Missing {
        /// What is missing.
        object: Object,
        /// What would have referred to it.
        by: String,
    },
    /// A record does not read back as it was written.
    #[error("the record of derivation {drv} is damaged ({why}); run `parton store verify --repair`, then build again")]
    Damaged {
        /// The derivation.
        drv: DrvId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Bytes are not what their digest says.
    #[error("{} was to become the {object}, but its bytes are something else; fetch or build it again", show(path))]
    Mismatch {
        /// What it was said to be.
        object: Object,
        /// The file.
        path: PathBuf,
    },
    /// The caller no longer wanted to wait for others.
    #[error("gave up waiting for {0}; try again when it is done")]
    GaveUp(Waiting),
    /// A tree could not be read or removed.
    #[error("could not {doing} a tree")]
    Tree {
        /// What was being done.
        doing: &'static str,
        /// What the tree room said.
        #[source]
        source: Box<crate::tree::Error>,
    },
}

/// The result of the store's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the cause is a full disk or quota, which the caller may want to report apart.
    pub fn is_space(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Unfit { source, .. } => no_space(source),
            _ => false,
        }
    }

    /// Whether it says nothing about the store: this process has no descriptor or memory left, or was interrupted.
    pub(super) fn is_of_process(&self) -> bool {
        let source = match self {
            Self::Io { source, .. } => source,
            Self::Tree { source, .. } => match source.as_ref() {
                crate::tree::Error::Io { source, .. } => source,
                _ => return false,
            },
            _ => return false,
        };
        let errno = Errno::from_io_error(source);
        errno.is_some_and(|e| [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR].contains(&e))
    }
}

fn show(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if no_space(error) => "; there is no space left for the store: free some, or run `parton gc`",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; the store must be writable by the user who runs parton"
        }
        io::ErrorKind::CrossesDevices => "; the file must lie in a stage of the store",
        _ => "",
    }
}

/// Attaches what was being done, and to what, to an error of the file system.
pub(super) trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|e| Error::Io { doing, path: path.to_owned(), source: e.into() })
    }
}
