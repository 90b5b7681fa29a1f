//! `parton shell`: a shell in the jail of a package, at the failed state if its last build failed.

use super::{Error, Session, package};
use crate::build::{Conditions, End, Kept, Local, Order};
use crate::sandbox::Status;
use std::path::PathBuf;

/// A jail that is ready to be entered.
pub struct Opened {
    order: Order,
    /// The kept directories of a failed round; without, sources are unpacked anew.
    state: Option<PathBuf>,
    failed: Option<(String, String)>,
}

/// Prepares a shell for a package.
///
/// # Errors
/// There is no failed state, and what the package needs is not built yet.
pub fn open_shell(session: &Session<'_>, name: &str, fresh: bool) -> Result<Opened, Error> {
    if !fresh && let Some(kept) = session.store.kept(name)?.into_iter().next() {
        let text = fs_err::read(kept.path().join("kept.json"))?;
        let found: Kept = serde_json::from_slice(&text)
            .map_err(|error| Error::Record { package: name.to_owned(), reason: error.to_string() })?;
        let failed = match found.outcome.end {
            End::Failed { phase, script, .. } => Some((phase, script)),
            End::Stopped { phase, .. } => Some((phase, String::new())),
            End::Refused { .. } | End::Built(_) => None,
        };
        return Ok(Opened { order: found.order, state: Some(kept.path().to_owned()), failed });
    }
    let package::Ready { derivation, limits, .. } = package::ready(session, name)?;
    let order = Order { derivation, round: 1, conditions: Conditions::plain(2), limits, check: false };
    Ok(Opened { order, state: None, failed: None })
}

impl Opened {
    /// What a person should know before the prompt appears.
    pub fn message(&self) -> String {
        let name = &self.order.derivation.name;
        match (&self.failed, &self.state) {
            (Some((phase, script)), _) if !script.is_empty() => {
                format!("{name} as phase {phase} left it in round {}; it ran:\n{}", self.order.round, script.trim_end())
            }
            (Some((phase, _)), _) => format!("{name} as phase {phase} left it in round {}", self.order.round),
            (None, Some(_)) => format!("{name} as round {} left it", self.order.round),
            (None, None) => format!("{name} with fresh sources; no failed state is kept"),
        }
    }

    /// Enters the jail: an interactive shell, or one that runs `script`.
    ///
    /// # Errors
    /// The jail can't be built.
    pub fn enter(&self, session: &Session<'_>, script: Option<&str>) -> Result<Status, Error> {
        let local = Local { store: session.store, launcher: session.launcher };
        Ok(local.shell(&self.order, self.state.as_deref(), script, session.cancel)?)
    }
}
