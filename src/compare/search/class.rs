//! Places that behaved alike, and what can be said of all of them at once.

use super::model::{Cause, Fit, by_chance, by_some_race};
use super::moved::Moved;
use super::{Build, CHANCE, RACE, Site, WITNESSED};
use std::collections::BTreeSet;

/// Places that behaved alike.
pub(super) struct Class {
    pub(super) sites: BTreeSet<Site>,
    pub(super) differed: Vec<Option<bool>>,
    pub(super) hints: Moved,
    pub(super) fits: Vec<Fit>,
    pub(super) contradiction: Option<(usize, usize)>,
    pub(super) ones: usize,
    /// Builds after the baseline of which something is known.
    pub(super) of: usize,
    pub(super) settled: bool,
}

impl Class {
    pub(super) fn is_build(&self) -> bool {
        self.sites.first().is_some_and(Site::is_build)
    }

    /// The cause that fits far better than any other, and than a race.
    pub(super) fn lead(&self) -> Option<&Fit> {
        let lead = self.fits.iter().max_by(|a, b| a.share.total_cmp(&b.share))?;
        let total: f64 = self.fits.iter().map(|fit| fit.share).sum();
        (lead.share >= 0.9 * total && self.race() < 0.1).then_some(lead)
    }

    /// How likely it is a race.
    pub(super) fn race(&self) -> f64 {
        let race = RACE * by_some_race(self.ones, self.of);
        let race = if self.hints.is_empty() { race } else { race * WITNESSED };
        race / (race + self.fits.iter().map(|fit| fit.share).sum::<f64>())
    }

    /// How likely it is that chance agreed in all builds with some cause of the lead's shape.
    pub(super) fn chance(&self, lead: &Fit) -> f64 {
        let chance = lead.of as f64 * by_chance(self.ones, self.of);
        let witnessed = !self.hints.is_empty() && self.hints.covers(lead.cause.conditions());
        (if witnessed { chance * WITNESSED } else { chance }).min(1.0)
    }

    pub(super) fn sure(&self, lead: &Fit) -> bool {
        self.chance(lead) <= CHANCE
    }
}

/// What is known of a place: what was moved, and whether it differed.
pub(super) fn outcomes(builds: &[Build], differed: &[Option<bool>]) -> Vec<(Moved, bool)> {
    builds.iter().zip(differed).filter_map(|(build, differs)| Some((build.moved, (*differs)?))).collect()
}

/// The part of the fits' shares that a test holds for.
pub(super) fn share(fits: &[Fit], test: impl Fn(Cause) -> bool) -> f64 {
    let total: f64 = fits.iter().map(|fit| fit.share).sum();
    let part: f64 = fits.iter().filter(|fit| test(fit.cause)).map(|fit| fit.share).sum();
    if total > 0.0 { part / total } else { 0.0 }
}
