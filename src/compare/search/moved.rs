//! Sets of conditions, as small as a number.

use serde::{Deserialize, Serialize};

/// Which conditions a build moved away from the baseline, by their index: at most [`Moved::MOST`] of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moved(u64);

impl Moved {
    /// How many conditions a search can tell apart.
    pub const MOST: usize = 64;
    /// The baseline.
    pub const NONE: Self = Self(0);

    /// The first `count` conditions.
    pub const fn all(count: usize) -> Self {
        if count >= Self::MOST { Self(u64::MAX) } else { Self((1 << count) - 1) }
    }

    /// One condition.
    pub const fn one(index: usize) -> Self {
        Self(1 << index)
    }

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This without those.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is the baseline.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has all of those.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// How many there are.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The indices, rising.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |index| self.0 >> index & 1 == 1)
    }

    /// A set whose members are the bits of a number; for choosing at random.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl FromIterator<usize> for Moved {
    fn from_iter<T: IntoIterator<Item = usize>>(indices: T) -> Self {
        indices.into_iter().fold(Self::NONE, |set, index| set.or(Self::one(index)))
    }
}
