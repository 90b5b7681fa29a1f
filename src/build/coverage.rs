//! Which levels further rounds take, and how much of what could be tried has been.
//!
//! A difference often needs two knobs at once: a directory in another order *and* more jobs. To try every combination of
//! levels would take billions of rounds, but any two levels of any two knobs can be brought together in about a dozen. So
//! the further rounds of a package walk such a *covering array*: each takes the assignment that brings most pairs together
//! that no round before it did, and as rounds cost what they always cost, the coverage grows with each build.
//!
//! **Values of a knob** here are its everyday levels, and for a sealed knob its plain level as well: a difference in a
//! round that moved few sealed knobs says more. An open knob is never plain in a further round: what no jail can hold
//! still must differ each time. Where a round was varied by hand, pairs with an open knob that was left plain do not count.

use super::knob::{Class, Knob};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The knobs that a round moved, and to which level; all others were plain.
pub type Levels = BTreeMap<Knob, String>;

/// How many pairs of values were brought together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Two open knobs.
    pub open: Covered,
    /// Two sealed knobs.
    pub sealed: Covered,
    /// One of either.
    pub mixed: Covered,
}

/// Some pairs of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// Pairs that some round brought together.
    pub pairs: u32,
    /// Pairs that there are.
    pub of: u32,
}

impl Coverage {
    /// Pairs of all classes.
    pub fn all(&self) -> Covered {
        let sum = |of: fn(&Covered) -> u32| of(&self.open) + of(&self.sealed) + of(&self.mixed);
        Covered { pairs: sum(|c| c.pairs), of: sum(|c| c.of) }
    }
}

/// How much these rounds cover.
pub fn coverage<'a>(rounds: impl IntoIterator<Item = &'a Levels>) -> Coverage {
    let mut array = Array::new();
    for round in rounds {
        array.cover(round);
    }
    let mut coverage = Coverage::default();
    for (a, b) in array.pairs() {
        let count = match (array.values[a].class(), array.values[b].class()) {
            (Class::Open, Class::Open) => &mut coverage.open,
            (Class::Sealed, Class::Sealed) => &mut coverage.sealed,
            _ => &mut coverage.mixed,
        };
        count.of += 1;
        count.pairs += u32::from(array.is_covered(a, b));
    }
    coverage
}

/// Of these rounds those that cover what none before them does.
pub fn condense(rounds: impl IntoIterator<Item = Levels>) -> Vec<Levels> {
    let mut array = Array::new();
    rounds.into_iter().filter(|round| array.cover(round) > 0).collect()
}

/// What so many further rounds take, after those of `history`: each what covers most that is new. The same history leads
/// to the same plan, and a longer plan begins with the shorter one.
pub fn plan(history: &[Levels], rounds: u32) -> Vec<Levels> {
    let mut array = Array::new();
    for round in history {
        array.cover(round);
    }
    let first = history.len();
    (first..first + rounds as usize)
        .map(|turn| {
            let next = array.next(turn);
            array.cover(&next);
            next
        })
        .collect()
}

/// A level of a knob; no name is the plain level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    knob: Knob,
    level: Option<&'static str>,
}

impl Value {
    fn class(self) -> Class {
        self.knob.class()
    }
}

/// All values, and which two were brought together.
struct Array {
    values: Vec<Value>,
    /// Of each knob that is walked the range of its values.
    knobs: Vec<std::ops::Range<usize>>,
    covered: Vec<bool>,
}

impl Array {
    fn new() -> Self {
        let (mut values, mut knobs) = (Vec::new(), Vec::new());
        for knob in Knob::ALL.into_iter().filter(|knob| knob.everyday().next().is_some()) {
            let start = values.len();
            values.extend(knob.everyday().map(|level| Value { knob, level: Some(level.name) }));
            if knob.class() == Class::Sealed {
                // Last, so that of equals a level that moves is taken.
                values.push(Value { knob, level: None });
            }
            knobs.push(start..values.len());
        }
        let covered = vec![false; values.len() * values.len()];
        Self { values, knobs, covered }
    }

    fn is_covered(&self, a: usize, b: usize) -> bool {
        self.covered[a * self.values.len() + b]
    }

    /// All pairs of values that can come together.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = self.values.len();
        (0..all)
            .flat_map(move |a| (a + 1..all).map(move |b| (a, b)))
            .filter(|(a, b)| self.values[*a].knob != self.values[*b].knob)
    }

    /// Takes note of a round; how many pairs are new.
    fn cover(&mut self, round: &Levels) -> u32 {
        let level = |value: &Value| round.get(&value.knob).map(String::as_str) == value.level;
        let taken: Vec<usize> = (0..self.values.len()).filter(|at| level(&self.values[*at])).collect();
        let (all, mut new) = (self.values.len(), 0);
        for a in &taken {
            for b in taken.iter().filter(|b| *b != a) {
                new += u32::from(a < b && !self.is_covered(*a, *b));
                self.covered[a * all + b] = true;
            }
        }
        new
    }

    /// The assignment that covers most new pairs, as far as can be found by looking one knob ahead, from each value.
    fn next(&self, turn: usize) -> Levels {
        let open =
            |value: usize| self.knobs.iter().flat_map(Clone::clone).filter(|other| self.is_new(value, *other)).count();
        let left: Vec<usize> = (0..self.values.len()).map(open).collect();
        let mut best: Option<(u32, Vec<usize>)> = None;
        for start in (0..self.values.len()).filter(|value| left[*value] > 0) {
            let found = self.extend(start, &left);
            if best.as_ref().is_none_or(|(most, _)| found.0 > *most) {
                best = Some(found);
            }
        }
        let taken = best.map_or_else(|| self.around(turn), |(_, taken)| taken);
        let moved = taken.into_iter().filter_map(|at| Some((self.values[at].knob, self.values[at].level?.to_owned())));
        moved.collect()
    }

    fn is_new(&self, a: usize, b: usize) -> bool {
        self.values[a].knob != self.values[b].knob && !self.is_covered(a, b)
    }

    /// An assignment with this value in it: knob after knob the value that makes most new pairs with those taken before.
    fn extend(&self, start: usize, left: &[usize]) -> (u32, Vec<usize>) {
        let mut taken = vec![start];
        let mut all = 0;
        // Those with most still to be covered first: later ones have to fit.
        let mut knobs: Vec<_> = self.knobs.iter().filter(|knob| !knob.contains(&start)).collect();
        knobs.sort_by_key(|knob| std::cmp::Reverse((*knob).clone().map(|value| left[value]).sum::<usize>()));
        for knob in knobs {
            let worth = |value: usize| {
                let new = taken.iter().filter(|other| self.is_new(value, **other)).count();
                (new, left[value], std::cmp::Reverse(value))
            };
            let best = knob.clone().max_by_key(|value| worth(*value)).unwrap_or(knob.start);
            all += worth(best).0 as u32;
            taken.push(best);
        }
        (all, taken)
    }

    /// What is taken when everything is covered: each knob's values in turn.
    fn around(&self, turn: usize) -> Vec<usize> {
        self.knobs.iter().enumerate().map(|(n, knob)| knob.start + (turn + n * turn / 2) % knob.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rounds_cover_every_pair() {
        let nothing = coverage(&[]);
        assert_eq!(nothing.all().pairs, 0);
        let mut before = 0;
        let rounds = plan(&[], 16);
        for count in 1..=rounds.len() {
            let now = coverage(&rounds[..count]).all();
            assert!(now.pairs > before || before == now.of, "round {count} covers nothing new: {now:?}");
            before = now.pairs;
        }
        let all = coverage(&rounds);
        assert_eq!(all.all().pairs, all.all().of, "{all:?}");
        assert_eq!(all.all().of, nothing.all().of);
        // The first alone covers a good part, as one value of each of 22 knobs comes together with those of all others.
        assert_eq!(coverage(&rounds[..1]).all().pairs, 22 * 21 / 2);
    }

    #[test]
    fn every_further_round_moves_every_open_knob_and_the_first_all_that_are_walked() {
        let walked = |knob: &Knob| knob.everyday().next().is_some();
        let rounds = plan(&[], 40);
        assert_eq!(rounds[0].len(), Knob::ALL.into_iter().filter(walked).count());
        for round in &rounds {
            for knob in Knob::ALL.into_iter().filter(walked) {
                assert!(round.contains_key(&knob) || knob.class() == Class::Sealed, "{knob} in {round:?}");
            }
            for (knob, level) in round {
                assert!(knob.level(level).is_some_and(|level| level.everyday), "{knob} {level}");
            }
        }
        let distinct: std::collections::BTreeSet<_> = rounds[..12].iter().collect();
        assert_eq!(distinct.len(), 12);
    }

    #[test]
    fn a_plan_goes_on_where_another_ended() {
        let five = plan(&[], 5);
        assert_eq!(five[..2], plan(&[], 2));
        assert_eq!(five[2..], plan(&five[..2], 3));
    }

    #[test]
    fn only_rounds_that_cover_something_are_kept() {
        let rounds = plan(&[], 3);
        let twice: Vec<Levels> = [rounds.clone(), rounds.clone()].concat();
        assert_eq!(condense(twice), rounds);
        // A round by hand, with open knobs left plain, still shows some pairs: those of sealed ones.
        let by_hand = Levels::from([(Knob::HostName, "long".to_owned()), (Knob::Umask, "group".to_owned())]);
        let coverage = coverage([&by_hand]);
        assert_eq!((coverage.open.pairs, coverage.mixed.pairs), (0, 0));
        assert_eq!(coverage.sealed.pairs, 10 * 9 / 2);
        let unknown = Levels::from([(Knob::HostName, "of another parton".to_owned())]);
        assert_eq!(super::coverage([&unknown]).sealed.pairs, 9 * 8 / 2);
    }
}
