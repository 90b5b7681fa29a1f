//! Which conditions make which places differ: an adaptive search that shares every build between all places.
//!
//! A build moves some conditions away from those of the first build, the baseline, and tells for every place whether it is
//! as it was there. One build thus answers one question for each place. [`Search::next`] says which conditions to move
//! next; it depends on nothing but the builds so far, so that a search is resumed by telling it again what it knew.
//!
//! Places that behaved alike in every build are one class. For each class the simplest [`Cause`]s that agree with all
//! builds are kept, from one condition alone up to four that each suffice, and two or three that are needed together. The
//! next build is the one that splits what is left of all classes best; then every attribution is tried from both sides
//! (its conditions alone, and all but them).
//!
//! Something that differs at random agrees with some cause by accident for a while. An attribution is therefore
//! [`Confidence::Confirmed`] only when chance would have agreed as well with odds of less than [`CHANCE`], whatever its
//! rate and whatever cause of this shape it had looked like: a sequential test, fed by every build. Builds under the very
//! same conditions that do not agree end the question: [`Verdict::Nondeterministic`].

mod class;
mod model;
mod moved;

pub use model::Cause;
pub use moved::Moved;

use crate::base::Blake3;
use class::{Class, outcomes, share};
use model::{Fit, Tiers};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How likely it may be that what is reported as confirmed is a race after all.
pub const CHANCE: f64 = 5e-4;

/// How much less likely chance becomes where the bytes themselves hold what was moved.
const WITNESSED: f64 = 0.01;

/// How likely it is that a place which differs does so at random, before anything is known of it.
const RACE: f64 = 0.1;

/// Builds of the same conditions after which what agrees with no cause counts as determined by them nevertheless.
const REPEATS: usize = 5;

/// Classes that the next build is chosen for; the largest ones.
const CLASSES: usize = 48;

/// A place in an output: an entry, and the part within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The entry; empty for the build itself, which may fail.
    pub path: String,
    /// The part of it; empty for what is said about the whole entry.
    pub part: String,
}

impl Site {
    fn build() -> Self {
        Self { path: String::new(), part: String::new() }
    }

    /// Whether it is no place in an output, but whether there is an output at all.
    pub fn is_build(&self) -> bool {
        self.path.is_empty() && self.part.is_empty()
    }
}

/// What one build came to, held against the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Seen {
    /// An output.
    Output {
        /// The places that were not as in the first build, and a digest of what was there.
        differing: BTreeMap<Site, Blake3>,
    },
    /// No output, so that nothing is known of any place.
    Failed,
}

/// One build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// What was moved.
    pub moved: Moved,
    /// What came of it.
    pub seen: Seen,
}

/// What to build next, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What to move.
    pub moved: Moved,
    /// Why.
    pub purpose: Purpose,
}

/// Why a build is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Nothing is moved: what all others are held against.
    Baseline,
    /// Everything is moved, that differences show themselves.
    All,
    /// The same conditions as before: whatever differs does so by itself.
    Control,
    /// Parts what can still explain some places.
    Split,
    /// Only what is suspected.
    Alone,
    /// Everything but what is suspected.
    AllBut,
}

/// What is known of a class of places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The places, all of which behaved alike.
    pub sites: BTreeSet<Site>,
    /// What is known.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether it differed, for each build; `None` where it failed.
    pub differed: Vec<Option<bool>>,
    /// How many causes fitted after each build; those of the simplest shapes that fitted at all.
    pub left: Vec<usize>,
}

/// What makes a place differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Conditions do.
    Leak {
        /// Which.
        cause: Cause,
        /// How sure that is.
        confidence: Confidence,
        /// Builds that moved only as much as is enough.
        alone: Vec<usize>,
        /// Builds that moved everything but that.
        all_but: Vec<usize>,
        /// The likelihood that something random agreed with a cause of this shape in all builds.
        chance: f64,
        /// Whether what was there when only these were moved is what was there when all were; `None` if not both were built.
        same_way: Option<bool>,
    },
    /// Several causes are left, or too little speaks against a race.
    Open {
        /// The likeliest of them.
        candidates: Vec<Cause>,
        /// How likely it is a race.
        race: f64,
    },
    /// It differs by itself, at least under some condition.
    Nondeterministic {
        /// It did so only where this one was moved, too often for chance.
        only_with: Option<usize>,
        /// Two builds of the same conditions that did not agree.
        builds: (usize, usize),
        /// How often it differed from the baseline.
        ones: usize,
        /// In so many builds after it.
        of: usize,
    },
    /// It agrees with no cause that this search knows, and yet with itself.
    NotUnderstood {
        /// Conditions that make it differ alone.
        alone: Moved,
    },
}

/// How sure an attribution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// One cause fits far better than any other.
    Likely,
    /// It was tried from both sides, and chance is as good as excluded.
    Confirmed,
}

/// A search under way.
pub struct Search {
    count: usize,
    budget: usize,
    tiers: Tiers,
    builds: Vec<Build>,
    hints: BTreeMap<Site, Moved>,
}

impl Search {
    /// A search over so many conditions (at most [`Moved::MOST`]) in at most so many builds.
    pub fn new(conditions: usize, budget: usize) -> Self {
        let count = conditions.min(Moved::MOST);
        Self { count, budget, tiers: Tiers::new(count), builds: Vec::new(), hints: BTreeMap::new() }
    }

    /// Says that the bytes of a place hold what this condition was moved to: it is looked at first, and chance is less
    /// likely.
    pub fn hint(&mut self, site: Site, condition: usize) {
        let known = self.hints.entry(site).or_default();
        *known = known.or(Moved::one(condition));
    }

    /// Adds a build. The first one is the baseline.
    pub fn tell(&mut self, moved: Moved, seen: Seen) {
        self.builds.push(Build { moved, seen });
    }

    /// The builds so far.
    pub fn builds(&self) -> &[Build] {
        &self.builds
    }

    /// What to build next; `None` when nothing is left to be asked, or the budget is used up.
    pub fn next(&self) -> Option<Question> {
        let all = Moved::all(self.count);
        let ask = |moved, purpose| Some(Question { moved, purpose });
        if self.builds.len() >= self.budget {
            return None;
        }
        match self.builds.len() {
            0 => return ask(Moved::NONE, Purpose::Baseline),
            1 => return ask(all, Purpose::All),
            _ => {}
        }
        let classes = self.classes();
        if classes.is_empty() {
            return None;
        }
        if !self.builds[1..].iter().any(|build| build.moved.is_empty()) {
            return ask(Moved::NONE, Purpose::Control);
        }
        let usable = self.usable(&classes);
        if usable != all && !self.built(usable) {
            return ask(usable, Purpose::All);
        }
        let mut open: Vec<&Class> = classes.iter().filter(|class| !class.settled).collect();
        open.sort_by_key(|class| std::cmp::Reverse(class.sites.len()));
        open.truncate(CLASSES);
        let failing =
            classes.iter().find(|class| class.is_build()).map(|class| class.fits.as_slice()).unwrap_or_default();
        let mut best: Option<(f64, Moved)> = None;
        for moved in self.candidates(&open, usable) {
            let fails = share(failing, |cause| cause.differs(moved));
            let gain =
                |class: &&Class| self.gain(class, moved, usable) * if class.is_build() { 1.0 } else { 1.0 - fails };
            let gain: f64 = open.iter().map(gain).sum();
            if gain > 1e-6 && best.is_none_or(|(most, _)| gain > most + 1e-9) {
                best = Some((gain, moved));
            }
        }
        let (_, moved) = best?;
        ask(moved, self.purpose(moved, &open, usable))
    }

    fn purpose(&self, moved: Moved, open: &[&Class], usable: Moved) -> Purpose {
        if self.built(moved) {
            return Purpose::Control;
        }
        let leads = || open.iter().filter_map(|class| class.lead()).map(|lead| lead.cause);
        if leads().any(|cause| cause.enough().any(|set| set == moved)) {
            Purpose::Alone
        } else if leads().any(|cause| cause.harmless(usable).contains(&moved)) {
            Purpose::AllBut
        } else {
            Purpose::Split
        }
    }

    /// What is known of every place that ever differed.
    pub fn findings(&self) -> Vec<Finding> {
        let classes = self.classes();
        let usable = self.usable(&classes);
        classes.into_iter().map(|class| self.finding(class, usable)).collect()
    }

    /// Places that agree with no cause, and yet with themselves. Where they are parts of an entry, the whole of it may fit.
    pub fn not_understood(&self) -> BTreeSet<Site> {
        let unfit = |class: &Class| class.settled && class.fits.is_empty() && class.contradiction.is_none();
        self.classes().into_iter().filter(unfit).flat_map(|class| class.sites).collect()
    }

    fn finding(&self, class: Class, usable: Moved) -> Finding {
        let verdict = self.verdict(&class, usable);
        let left = (0..class.differed.len())
            .map(|last| self.tiers.fitting(&outcomes(&self.builds, &class.differed[..=last])).len());
        Finding { left: left.collect(), verdict, sites: class.sites, differed: class.differed }
    }

    fn verdict(&self, class: &Class, usable: Moved) -> Verdict {
        if let Some(builds) = class.contradiction {
            return Verdict::Nondeterministic {
                only_with: self.only_with(class),
                builds,
                ones: class.ones,
                of: class.of,
            };
        }
        let Some(lead) = class.lead() else {
            if class.fits.is_empty() && class.settled {
                return Verdict::NotUnderstood { alone: self.alone(class) };
            }
            let mut fits = class.fits.clone();
            fits.sort_by(|a, b| b.share.total_cmp(&a.share));
            let candidates = fits.iter().take(8).map(|fit| fit.cause).collect();
            return Verdict::Open { candidates, race: class.race() };
        };
        let with = |sets: Vec<Moved>| -> Vec<usize> {
            sets.iter().filter_map(|set| self.first(*set)).filter(|build| class.differed[*build].is_some()).collect()
        };
        let alone = with(lead.cause.enough().collect());
        let all_but = with(lead.cause.harmless(usable));
        let confirmed = class.settled && class.sure(lead);
        let site = class.sites.first();
        let found = |build: usize| match (&self.builds[build].seen, site) {
            (Seen::Output { differing }, Some(site)) => differing.get(site).copied(),
            _ => None,
        };
        let same_way = match (alone.as_slice(), self.first(usable)) {
            ([build], Some(all)) if lead.cause.enough().count() == 1 => Some(found(*build) == found(all)),
            _ => None,
        };
        let confidence = if confirmed { Confidence::Confirmed } else { Confidence::Likely };
        Verdict::Leak { cause: lead.cause, confidence, alone, all_but, chance: class.chance(lead), same_way }
    }

    /// All conditions but those that break the build for sure.
    fn usable(&self, classes: &[Class]) -> Moved {
        let breaking = classes.iter().find(|class| class.is_build()).and_then(Class::lead);
        let all = Moved::all(self.count);
        match breaking {
            Some(lead) if lead.cause.together.is_empty() => all.without(lead.cause.any),
            // One of those that break it together is enough to leave out.
            Some(lead) => {
                let one = lead.cause.together.iter().next().map_or(Moved::NONE, Moved::one);
                all.without(lead.cause.any).without(one)
            }
            None => all,
        }
    }

    fn first(&self, moved: Moved) -> Option<usize> {
        self.builds.iter().position(|build| build.moved == moved)
    }

    fn built(&self, moved: Moved) -> bool {
        self.first(moved).is_some()
    }

    /// Places that behaved alike, and of which the same is hinted.
    fn classes(&self) -> Vec<Class> {
        let mut sites: BTreeSet<&Site> = BTreeSet::new();
        for build in &self.builds {
            if let Seen::Output { differing } = &build.seen {
                sites.extend(differing.keys());
            }
        }
        let mut alike: BTreeMap<(Vec<Option<bool>>, Moved), BTreeSet<Site>> = BTreeMap::new();
        for site in sites {
            let differed = self.builds.iter().map(|build| match &build.seen {
                Seen::Output { differing } => Some(differing.contains_key(site)),
                Seen::Failed => None,
            });
            let hints = self.hints.get(site).copied().unwrap_or_default();
            alike.entry((differed.collect(), hints)).or_default().insert(site.clone());
        }
        if self.builds.iter().any(|build| build.seen == Seen::Failed) {
            let failed = self.builds.iter().map(|build| Some(build.seen == Seen::Failed)).collect();
            alike.entry((failed, Moved::NONE)).or_default().insert(Site::build());
        }
        let classes: Vec<Class> =
            alike.into_iter().map(|((differed, hints), sites)| self.class(differed, hints, sites)).collect();
        let usable = self.usable(&classes);
        let settle = |class: Class| Class { settled: self.is_settled(&class, usable), ..class };
        classes.into_iter().map(settle).collect()
    }

    fn class(&self, differed: Vec<Option<bool>>, hints: Moved, sites: BTreeSet<Site>) -> Class {
        let outcomes = outcomes(&self.builds, &differed);
        let contradiction = self.contradiction(&differed);
        let mut fits = if contradiction.is_some() { Vec::new() } else { self.tiers.fitting(&outcomes) };
        for fit in &mut fits {
            if !hints.is_empty() && fit.cause.together.is_empty() && hints.covers(fit.cause.any) {
                // Hints are few: what chance could look like shrinks to them.
                fit.share *= 1000.0;
                fit.of = hints.count();
            }
        }
        let ones = outcomes.iter().filter(|(_, differs)| *differs).count();
        // The baseline does not differ from itself, whatever chance does.
        let of = outcomes.len() - 1;
        Class { sites, differed, hints, fits, contradiction, ones, of, settled: false }
    }

    /// Two builds of the same conditions that do not agree.
    fn contradiction(&self, differed: &[Option<bool>]) -> Option<(usize, usize)> {
        let mut known: BTreeMap<Moved, (usize, bool)> = BTreeMap::new();
        for (index, (build, differs)) in self.builds.iter().zip(differed).enumerate() {
            let Some(differs) = *differs else { continue };
            match known.get(&build.moved) {
                Some((first, before)) if *before != differs => return Some((*first, index)),
                Some(_) => {}
                None => drop(known.insert(build.moved, (index, differs))),
            }
        }
        None
    }

    fn is_settled(&self, class: &Class, usable: Moved) -> bool {
        if class.contradiction.is_some() {
            return true;
        }
        if class.fits.is_empty() {
            return self.repeats(class).is_empty() && self.singles(class, usable).next().is_none();
        }
        class.lead().is_some_and(|lead| class.sure(lead) && self.untried(class, lead.cause, usable).next().is_none())
    }

    /// The builds that show a cause from both sides and were not made yet.
    fn untried(&self, class: &Class, cause: Cause, usable: Moved) -> impl Iterator<Item = Moved> {
        // What breaks the build says nothing of places in its output.
        let enough = cause.enough().filter(|set| usable.covers(*set) || class.is_build());
        let sets: Vec<Moved> = enough.chain(cause.harmless(usable)).filter(|set| !self.built(*set)).collect();
        sets.into_iter()
    }

    /// Conditions that were not tried alone yet.
    fn singles(&self, class: &Class, usable: Moved) -> impl Iterator<Item = Moved> {
        let of = if class.is_build() { Moved::all(self.count) } else { usable };
        let sets: Vec<Moved> = of.iter().map(Moved::one).filter(|set| !self.built(*set)).collect();
        sets.into_iter()
    }

    /// Conditions that made it differ alone.
    fn alone(&self, class: &Class) -> Moved {
        let made = (0..self.count).filter(|index| {
            let build = self.first(Moved::one(*index));
            build.is_some_and(|build| class.differed[build] == Some(true))
        });
        made.collect()
    }

    /// The sets to build once more, in search of a contradiction: those of the rarer outcome, the least repeated first.
    fn repeats(&self, class: &Class) -> Vec<Moved> {
        let rare = class.ones * 2 <= class.of;
        let fitting = self.builds.iter().zip(&class.differed).filter(|(_, differs)| **differs == Some(rare));
        let mut times: BTreeMap<Moved, usize> = BTreeMap::new();
        fitting.for_each(|(build, _)| *times.entry(build.moved).or_default() += 1);
        let spent: usize = times.values().map(|times| times - 1).sum();
        if spent >= REPEATS {
            return Vec::new();
        }
        let least = times.values().copied().min().unwrap_or(0);
        times.into_iter().filter(|(_, times)| *times == least).map(|(moved, _)| moved).collect()
    }

    /// The only condition under which something differs at random, if its absence kept it still too often for chance.
    fn only_with(&self, class: &Class) -> Option<usize> {
        let known = outcomes(&self.builds, &class.differed);
        let mut found = None;
        for index in 0..self.count {
            let (with, without): (Vec<_>, Vec<_>) =
                known.iter().partition(|(moved, _)| moved.covers(Moved::one(index)));
            if without.iter().any(|(_, differs)| *differs) {
                continue;
            }
            let ones = with.iter().filter(|(_, differs)| *differs).count();
            let quiet = 1.0 - ones as f64 / with.len().max(1) as f64;
            let chance = self.count as f64 * quiet.powi(i32::try_from(without.len()).unwrap_or(i32::MAX));
            if chance <= CHANCE && found.replace(index).is_some() {
                return None;
            }
        }
        found
    }

    /// How much a build would tell of a class.
    fn gain(&self, class: &Class, moved: Moved, usable: Moved) -> f64 {
        let repeats = || if self.repeats(class).contains(&moved) { 1.0 } else { 0.0 };
        let Some(lead) = class.fits.iter().max_by(|a, b| a.share.total_cmp(&b.share)) else {
            let quiet = self.repeats(class).is_empty();
            return if quiet && self.singles(class, usable).any(|set| set == moved) { 0.8 } else { repeats() };
        };
        let total: f64 = class.fits.iter().map(|fit| fit.share).sum();
        let differs = share(&class.fits, |cause| cause.differs(moved));
        let entropy = |part: f64| if part > 0.0 && part < 1.0 { -part * part.log2() } else { 0.0 };
        let mut gain = entropy(differs) + entropy(1.0 - differs);
        let expected = lead.cause.differs(moved);
        let others = total - lead.share;
        // Before there is a lead, only even splits keep the worst case short.
        if others > 0.0 && class.lead().is_some() {
            let beaten = if expected { 1.0 - differs } else { differs };
            gain += 0.2 * beaten * total / others;
        }
        if class.lead().is_some_and(|lead| self.untried(class, lead.cause, usable).any(|set| set == moved)) {
            gain += 0.3;
        }
        if !class.sure(lead) && expected == (class.ones * 2 <= class.of) {
            gain += 0.05;
        }
        let race = class.race();
        if race > 0.3 {
            gain += race * repeats();
        }
        gain
    }

    /// Sets that might be worth building: at random, but the same ones each time.
    fn candidates(&self, open: &[&Class], usable: Moved) -> Vec<Moved> {
        let mut dice = Dice(self.builds.len() as u64);
        let mut sets = Vec::new();
        // What shows a lead from both sides comes first: of equally good builds it is the one that is asked for.
        let leads: BTreeSet<Cause> = open.iter().filter_map(|class| class.lead()).map(|lead| lead.cause).collect();
        for class in open {
            sets.extend(class.lead().into_iter().flat_map(|lead| self.untried(class, lead.cause, usable)));
            sets.extend(self.repeats(class));
            sets.extend(class.fits.is_empty().then(|| self.singles(class, usable)).into_iter().flatten());
            // Halves of what is left, alone and with everything that is out of the question.
            let mut left: Vec<&Fit> = class.fits.iter().collect();
            left.sort_by(|a, b| b.share.total_cmp(&a.share));
            left.truncate(2 * self.count);
            let involved = left.iter().fold(Moved::NONE, |set, fit| set.or(fit.cause.conditions()));
            for _ in 0..6 {
                let half = Moved::from_bits(dice.roll()).and(involved);
                sets.extend([half, half.or(usable.without(involved))]);
            }
            let mut half = Moved::NONE;
            let mut weight = 0.0;
            let single = |fit: &&&Fit| fit.cause.together.is_empty() && fit.cause.any.count() == 1;
            let total: f64 = left.iter().filter(single).map(|fit| fit.share).sum();
            for fit in left.iter().filter(single) {
                if (weight + fit.share) * 2.0 <= total * 1.0001 {
                    weight += fit.share;
                    half = half.or(fit.cause.any);
                }
            }
            sets.extend([half, usable.without(half)]);
        }
        let union = leads.iter().fold(Moved::NONE, |set, cause| set.or(cause.conditions()));
        sets.extend([union, usable.without(union)]);
        for _ in 0..64 {
            sets.push(Moved::from_bits(dice.roll()));
        }
        for _ in 0..24 {
            let (a, b) = (dice.roll(), dice.roll());
            sets.extend([Moved::from_bits(a & b), Moved::from_bits(a | b)]);
        }
        let breaks = open.iter().any(|class| class.is_build());
        let within = if breaks { Moved::all(self.count) } else { usable };
        let mut known = BTreeSet::new();
        sets.into_iter().map(|set| set.and(within)).filter(|set| known.insert(*set)).collect()
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
