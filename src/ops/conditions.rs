//! `parton conditions`: what rounds can vary; and which of it a build is told to vary.

use crate::base::DrvId;
use crate::build::coverage::{Coverage, coverage};
use crate::build::{Class, Conditions, Knob, Level};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What rounds can vary.
#[derive(Debug, Clone, Serialize)]
pub struct Varying {
    /// Every knob, the open ones first.
    pub knobs: Vec<KnobFacts>,
    /// How many pairs of everyday levels there are: none is covered here.
    pub coverage: Coverage,
}

/// One knob.
#[derive(Debug, Clone, Serialize)]
pub struct KnobFacts {
    /// Its name.
    pub name: &'static str,
    /// Whether the jail holds it still.
    pub class: Class,
    /// What it is.
    pub meaning: &'static str,
    /// What it can be beside plain.
    pub levels: &'static [Level],
}

/// Lists what rounds can vary.
pub fn conditions() -> Varying {
    let facts = |knob: Knob| KnobFacts {
        name: knob.name(),
        class: knob.class(),
        meaning: knob.meaning(),
        levels: knob.levels(),
    };
    Varying { knobs: Knob::ALL.into_iter().map(facts).collect(), coverage: coverage([]) }
}

/// Knobs that the further rounds of a build are told to move, instead of those that would be their turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vary(BTreeMap<Knob, Option<String>>);

impl Vary {
    /// Reads `KNOB`, `KNOB=LEVEL`, `open`, `sealed` or `all`, any number of them.
    ///
    /// # Errors
    /// What no knob or level is called, or nothing at all.
    pub fn read<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        let mut knobs = BTreeMap::new();
        for word in words.iter().map(AsRef::as_ref) {
            match word {
                "all" => knobs.extend(Knob::ALL.map(|knob| (knob, None))),
                "open" | "sealed" => {
                    let of = Knob::ALL.into_iter().filter(|knob| knob.class().name() == word);
                    knobs.extend(of.map(|knob| (knob, None)));
                }
                word => {
                    let (name, level) = word.split_once('=').map_or((word, None), |(name, level)| (name, Some(level)));
                    let knob: Knob = name.parse()?;
                    if let Some(level) = level.filter(|level| knob.level(level).is_none()) {
                        let names: Vec<&str> = knob.levels().iter().map(|level| level.name).collect();
                        return Err(format!("{knob} has no level '{level}', only {}", names.join(", ")));
                    }
                    knobs.insert(knob, level.map(str::to_owned));
                }
            }
        }
        if knobs.is_empty() { Err("no knob is named".to_owned()) } else { Ok(Self(knobs)) }
    }

    /// The conditions of a further round.
    pub(super) fn conditions(&self, id: DrvId, round: u32, jobs: u32, cpus: u32) -> Conditions {
        let knobs: BTreeSet<Knob> = self.0.keys().copied().collect();
        let mut levels = Conditions::with(id, round, jobs, cpus, &knobs).levels;
        levels.extend(self.0.iter().filter_map(|(knob, level)| Some((*knob, level.clone()?))));
        Conditions::at(id, round, jobs, cpus, &levels)
    }
}
