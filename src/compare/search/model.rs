//! What could explain one place's behaviour over all builds.

use super::moved::Moved;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;

/// What makes a place differ: any one of some conditions, or several others together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// Each of these alone.
    pub any: Moved,
    /// These together; empty, or at least two.
    pub together: Moved,
}

impl Cause {
    /// One condition alone.
    pub const fn one(index: usize) -> Self {
        Self { any: Moved::one(index), together: Moved::NONE }
    }

    /// Whether the place differs where these were moved.
    pub fn differs(self, moved: Moved) -> bool {
        !self.any.and(moved).is_empty() || (!self.together.is_empty() && moved.covers(self.together))
    }

    /// Every condition that has a part in it.
    pub fn conditions(self) -> Moved {
        self.any.or(self.together)
    }

    /// The smallest sets that make it differ.
    pub fn enough(self) -> impl Iterator<Item = Moved> {
        let together = Some(self.together).filter(|set| !set.is_empty());
        self.any.iter().map(Moved::one).chain(together)
    }

    /// The largest sets, out of `all`, that do not.
    pub fn harmless(self, all: Moved) -> Vec<Moved> {
        let rest = all.without(self.any);
        if self.together.is_empty() {
            return vec![rest];
        }
        self.together.iter().map(|index| rest.without(Moved::one(index))).collect()
    }
}

/// Causes of one shape, which are taken to be equally likely.
pub(super) struct Shape {
    /// What all of them together are worth, before anything was built.
    pub share: f64,
    /// All of them.
    pub causes: Vec<Cause>,
}

/// Shapes in order of their simplicity: what a tier can explain, the next one is not asked for. Most searches need only the
/// first, and the others are large: each is made when it is asked for.
pub(super) struct Tiers {
    count: usize,
    made: [OnceCell<Vec<Shape>>; 3],
}

impl Tiers {
    pub fn new(count: usize) -> Self {
        Self { count, made: Default::default() }
    }

    fn tier(&self, tier: usize) -> Vec<Shape> {
        let count = self.count;
        let sets = |size| subsets(count, size);
        let any = |size| sets(size).into_iter().map(|any| Cause { any, together: Moved::NONE }).collect();
        let together = |size| sets(size).into_iter().map(|together| Cause { any: Moved::NONE, together }).collect();
        let mixed = || {
            let with = |together: Moved| {
                let others = Moved::all(count).without(together);
                others.iter().map(move |one| Cause { any: Moved::one(one), together }).collect::<Vec<_>>()
            };
            sets(2).into_iter().flat_map(with).collect()
        };
        match tier {
            0 => vec![
                Shape { share: 0.9, causes: any(1) },
                Shape { share: 0.04, causes: any(2) },
                Shape { share: 0.03, causes: together(2) },
            ],
            1 => vec![
                Shape { share: 0.01, causes: any(3) },
                Shape { share: 0.01, causes: mixed() },
                Shape { share: 0.01, causes: together(3) },
            ],
            _ => vec![Shape { share: 0.01, causes: any(4) }],
        }
    }

    /// The simplest causes that agree with every build, the likeliest first, each with its share before anything was built and
    /// with how many causes its shape has.
    pub fn fitting(&self, outcomes: &[(Moved, bool)]) -> Vec<Fit> {
        for (number, made) in self.made.iter().enumerate() {
            let mut fits = Vec::new();
            for shape in made.get_or_init(|| self.tier(number)) {
                let share = shape.share / shape.causes.len().max(1) as f64;
                let agree = |cause: &&Cause| outcomes.iter().all(|(moved, differs)| cause.differs(*moved) == *differs);
                let of = shape.causes.len();
                fits.extend(shape.causes.iter().filter(agree).map(|cause| Fit { cause: *cause, share, of }));
            }
            if !fits.is_empty() {
                return fits;
            }
        }
        Vec::new()
    }
}

/// A cause that agrees with every build so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    pub cause: Cause,
    pub share: f64,
    /// How many causes of this shape there were to begin with.
    pub of: usize,
}

/// All sets of so many of the first `count` conditions.
fn subsets(count: usize, size: usize) -> Vec<Moved> {
    if size == 0 {
        return vec![Moved::NONE];
    }
    let mut sets = Vec::new();
    for last in 0..count {
        sets.extend(subsets(last, size - 1).into_iter().map(|set| set.or(Moved::one(last))));
    }
    sets
}

/// The likelihood that something which differs at random, at the rate that suits it best, behaved just so: `ones` times out
/// of `count` it differed.
pub(super) fn by_chance(ones: usize, count: usize) -> f64 {
    let rate = ones as f64 / count.max(1) as f64;
    let power =
        |base: f64, times: usize| if times == 0 { 1.0 } else { base.powi(i32::try_from(times).unwrap_or(i32::MAX)) };
    power(rate, ones) * power(1.0 - rate, count - ones)
}

/// The same, over all rates alike: the likelihood that a race behaves so before anything is known of its rate.
pub(super) fn by_some_race(ones: usize, count: usize) -> f64 {
    // 1 / ((n + 1) · C(n, k))
    let mut choose = 1.0;
    for i in 0..ones {
        choose *= (count - i) as f64 / (i + 1) as f64;
    }
    1.0 / ((count + 1) as f64 * choose)
}
