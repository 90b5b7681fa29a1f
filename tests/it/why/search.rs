//! The search against worlds whose truth is known: places that depend on one condition, on either of two, on two together,
//! and places that differ at random.

use crate::common::Dice;
use parton::base::Blake3;
use parton::compare::search::{Cause, Confidence, Moved, Purpose, Search, Seen, Site, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// How a place behaves.
#[derive(Debug, Clone, Copy)]
enum Place {
    Leak(Cause),
    /// At this rate.
    Race(f64),
    /// At this rate, where a condition is moved.
    Provoked(usize, f64),
    /// Never the same twice.
    Random,
    /// A leak that a race of this rate covers now and then.
    Both(Cause, f64),
}

/// A package whose build behaves so.
struct World {
    conditions: usize,
    places: Vec<Place>,
    /// What makes the build fail.
    breaks: Option<Cause>,
    dice: Dice,
    /// What every place was in the first build.
    first: Vec<u64>,
}

fn site(index: usize) -> Site {
    Site { path: format!("f{index}"), part: String::new() }
}

fn pair(a: usize, b: usize) -> Cause {
    Cause { any: Moved::NONE, together: [a, b].into_iter().collect() }
}

fn either(set: &[usize]) -> Cause {
    Cause { any: set.iter().copied().collect(), together: Moved::NONE }
}

impl World {
    fn new(seed: u64, conditions: usize, places: Vec<Place>) -> Self {
        Self { conditions, places, breaks: None, dice: Dice::new(seed), first: Vec::new() }
    }

    fn build(&mut self, moved: Moved) -> Seen {
        if self.breaks.is_some_and(|cause| cause.differs(moved)) {
            return Seen::Failed;
        }
        let leaked = |cause: Cause| if cause.differs(moved) { 1 } else { 0 };
        let mut values = Vec::new();
        for place in &self.places {
            values.push(match *place {
                Place::Leak(cause) => leaked(cause),
                Place::Race(rate) => u64::from(self.dice.coin(rate)),
                Place::Provoked(index, rate) => u64::from(moved.covers(Moved::one(index)) && self.dice.coin(rate)),
                Place::Random => self.dice.next(),
                Place::Both(cause, rate) => {
                    if self.dice.coin(rate) {
                        2
                    } else {
                        leaked(cause)
                    }
                }
            });
        }
        if self.first.is_empty() {
            self.first.clone_from(&values);
        }
        let differing = values.iter().zip(&self.first).enumerate().filter(|(_, (value, first))| value != first);
        let differing = differing.map(|(index, (value, _))| (site(index), Blake3::of(&value.to_le_bytes())));
        Seen::Output { differing: differing.collect() }
    }

    /// Searches until nothing is left to be asked. Calls `after` with each build.
    fn search(&mut self, budget: usize, mut after: impl FnMut(&Search)) -> Search {
        let mut search = Search::new(self.conditions, budget);
        while let Some(question) = search.next() {
            let seen = self.build(question.moved);
            search.tell(question.moved, seen);
            after(&search);
        }
        search
    }
}

/// The causes that are named at this confidence or better, by place.
fn named(search: &Search, least: Confidence) -> BTreeMap<Site, Cause> {
    let mut named = BTreeMap::new();
    for finding in search.findings() {
        if let Verdict::Leak { cause, confidence, .. } = finding.verdict
            && confidence >= least
        {
            named.extend(finding.sites.into_iter().map(|site| (site, cause)));
        }
    }
    named
}

/// Pairs of place and condition.
fn pairs(causes: &BTreeMap<Site, Cause>) -> BTreeSet<(Site, usize)> {
    let each = causes.iter().flat_map(|(site, cause)| cause.conditions().iter().map(|index| (site.clone(), index)));
    each.collect()
}

/// How well what was said is what is so, over many worlds.
#[derive(Default)]
struct Score {
    said: usize,
    so: usize,
    both: usize,
}

impl Score {
    fn add(&mut self, world: &World, search: &Search) {
        let truth = world.places.iter().enumerate().filter_map(|(index, place)| match place {
            Place::Leak(cause) => Some((site(index), *cause)),
            _ => None,
        });
        let truth = pairs(&truth.collect());
        let said = pairs(&named(search, Confidence::Likely));
        self.said += said.len();
        self.so += truth.len();
        self.both += said.intersection(&truth).count();
    }

    fn precision(&self) -> f64 {
        self.both as f64 / self.said.max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.both as f64 / self.so.max(1) as f64
    }
}

/// What a place was said to be, for the table of races.
#[derive(Default, Debug)]
struct Races {
    trials: usize,
    leaks: usize,
    likely: usize,
    open: usize,
    quiet: usize,
    nondeterministic: usize,
}

const RATES: [f64; 10] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.75, 0.85, 0.9];

/// Twenty trials at each of ten rates; each world has a leak too, that the search has a reason to go on.
fn races(conditions: usize, budget: usize, of: impl Fn(&mut Dice, f64) -> Place) -> Races {
    let mut table = Races::default();
    for (number, rate) in RATES.iter().flat_map(|rate| [rate; 20]).enumerate() {
        let mut dice = Dice::new(1000 + number as u64);
        let places = vec![of(&mut dice, *rate), Place::Leak(Cause::one(dice.below(conditions)))];
        let mut world = World::new(number as u64, conditions, places);
        let search = world.search(budget, |_| {});
        table.trials += 1;
        let findings = search.findings();
        let of_race = findings.iter().find(|finding| finding.sites.contains(&site(0)));
        match of_race.map(|finding| &finding.verdict) {
            None => table.quiet += 1,
            Some(Verdict::Leak { confidence: Confidence::Confirmed, .. }) => table.leaks += 1,
            Some(Verdict::Leak { .. }) => table.likely += 1,
            Some(Verdict::Open { .. }) => table.open += 1,
            Some(Verdict::Nondeterministic { .. }) => table.nondeterministic += 1,
            Some(Verdict::NotUnderstood { .. }) => table.open += 1,
        }
    }
    table
}

#[test]
fn one_leak_among_many_conditions_is_found_in_eight_builds() {
    let (mut found, mut confirmed) = (Vec::new(), Vec::new());
    for conditions in [20, 26, 30, 32] {
        for leak in (0..conditions).step_by(2) {
            let mut world = World::new(7, conditions, vec![Place::Leak(Cause::one(leak))]);
            let right = BTreeMap::from([(site(0), Cause::one(leak))]);
            let (mut first, mut sure) = (None, None);
            world.search(32, |search| {
                let builds = search.builds().len();
                if named(search, Confidence::Likely) == right {
                    first.get_or_insert(builds);
                }
                if named(search, Confidence::Confirmed) == right {
                    sure.get_or_insert(builds);
                }
            });
            found.push(first.unwrap());
            confirmed.push(sure.unwrap());
        }
    }
    let mean = |list: &[usize]| list.iter().sum::<usize>() as f64 / list.len() as f64;
    say(&format!(
        "single: found {:.2} (most {}), confirmed {:.2} (most {})",
        mean(&found),
        found.iter().max().unwrap(),
        mean(&confirmed),
        confirmed.iter().max().unwrap()
    ));
    assert!(found.iter().all(|builds| *builds <= 8), "{found:?}");
    assert!(confirmed.iter().all(|builds| *builds <= 24), "{confirmed:?}");
}

#[test]
fn no_race_is_called_a_leak() {
    let table = races(26, 32, |_, rate| Place::Race(rate));
    say(&format!("races: {table:?}"));
    assert_eq!(table.trials, 200);
    assert_eq!((table.leaks, table.likely), (0, 0), "{table:?}");
}

#[expect(clippy::print_stdout, reason = "figures, shown with --nocapture")]
fn say(text: &str) {
    println!("measured: {text}");
}

/// What differs at random only where something is moved is a race that it provokes, or blamed on just that.
#[test]
fn a_provoked_race_is_blamed_on_nothing_else() {
    for (number, rate) in [0.2, 0.5, 0.9].into_iter().enumerate() {
        let places = vec![Place::Provoked(5, rate), Place::Leak(Cause::one(9)), Place::Leak(pair(1, 2))];
        let mut world = World::new(number as u64, 26, places);
        let search = world.search(48, |_| {});
        let findings = search.findings();
        let finding = findings.iter().find(|finding| finding.sites.contains(&site(0))).unwrap();
        match &finding.verdict {
            Verdict::Nondeterministic { only_with, .. } => assert!(only_with.is_none_or(|index| index == 5)),
            Verdict::Leak { cause, .. } => assert_eq!(*cause, Cause::one(5)),
            Verdict::Open { .. } | Verdict::NotUnderstood { .. } => {}
        }
    }
}

#[test]
fn a_control_shows_what_is_never_the_same_and_what_a_race_covers() {
    let places = vec![Place::Random, Place::Both(Cause::one(4), 0.5), Place::Leak(Cause::one(4))];
    let mut world = World::new(3, 26, places);
    let search = world.search(32, |_| {});
    let verdict = |index: usize| {
        let findings = search.findings();
        findings.into_iter().find(|finding| finding.sites.contains(&site(index))).map(|finding| finding.verdict)
    };
    assert!(matches!(verdict(0), Some(Verdict::Nondeterministic { builds: (0, 2), .. })));
    assert!(matches!(verdict(1), Some(Verdict::Nondeterministic { .. })));
    assert_eq!(named(&search, Confidence::Confirmed), BTreeMap::from([(site(2), Cause::one(4))]));
}

#[test]
fn what_breaks_the_build_is_found_and_then_left_out() {
    let places = vec![Place::Leak(Cause::one(20)), Place::Leak(pair(3, 8))];
    let mut world = World::new(5, 26, places);
    world.breaks = Some(Cause::one(11));
    let search = world.search(64, |_| {});
    let build = Site { path: String::new(), part: String::new() };
    let all = named(&search, Confidence::Likely);
    let right = BTreeMap::from([(build, Cause::one(11)), (site(0), Cause::one(20)), (site(1), pair(3, 8))]);
    assert_eq!(all, right);
}

#[test]
fn a_witness_shortens_the_search() {
    let builds = |witness: bool| {
        let mut world = World::new(7, 26, vec![Place::Leak(Cause::one(17))]);
        let mut search = Search::new(26, 32);
        if witness {
            search.hint(site(0), 17);
        }
        while let Some(question) = search.next() {
            search.tell(question.moved, world.build(question.moved));
        }
        assert_eq!(named(&search, Confidence::Confirmed), BTreeMap::from([(site(0), Cause::one(17))]));
        search.builds().len()
    };
    assert!(builds(true) <= 8 && builds(true) < builds(false), "{} {}", builds(true), builds(false));
}

/// A search that is told again what it knew asks what it would have asked.
#[test]
fn a_search_is_resumed_by_its_history() {
    let mut world = World::new(11, 26, vec![Place::Leak(Cause::one(2)), Place::Leak(either(&[7, 13]))]);
    world.search(32, |search| {
        let mut again = Search::new(26, 32);
        search.builds().iter().for_each(|build| again.tell(build.moved, build.seen.clone()));
        assert_eq!(again.next(), search.next());
    });
}

#[test]
fn several_leaks_share_their_builds() {
    let mut score = Score::default();
    let mut builds = Vec::new();
    for seed in 0..15 {
        let mut dice = Dice::new(seed);
        let places = (0..8).map(|_| {
            let (a, b) = (dice.below(26), dice.below(26));
            Place::Leak(match dice.below(4) {
                0 if a != b => pair(a, b),
                1 => either(&[a, b]),
                _ => Cause::one(a),
            })
        });
        let mut world = World::new(seed, 26, places.collect());
        let search = world.search(48, |_| {});
        builds.push(search.builds().len());
        score.add(&world, &search);
    }
    say(&format!("mixed: precision {:.4} recall {:.4} builds {builds:?}", score.precision(), score.recall()));
    assert!(score.precision() >= 0.98 && score.recall() >= 0.98);
}

#[test]
fn the_first_questions_are_baseline_everything_and_a_control() {
    let mut asked = Vec::new();
    let mut search = Search::new(26, 32);
    let mut world = World::new(1, 26, vec![Place::Leak(Cause::one(3))]);
    for _ in 0..3 {
        let question = search.next().unwrap();
        asked.push(question.purpose);
        search.tell(question.moved, world.build(question.moved));
    }
    assert_eq!(asked, [Purpose::Baseline, Purpose::All, Purpose::Control]);
}
