//! What a round varies.

use crate::base::{Canon, DrvId, Encoder};
use crate::sandbox::World;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The circumstances of one round: everything about it that is not in the derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Jobs that build tools are told to run at once (`$JOBS`).
    pub jobs: u32,
    /// Facts no jail can hold still on every machine. A difference that these cause is a failure.
    pub world: World,
    /// Whether files are created in the reverse order of the archive, so that inode numbers run the other way.
    pub reverse_inodes: bool,
    /// Host name. Held by the jail, like all that follows.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// Name of the user with id 1000.
    pub user: String,
    /// Variables that nothing should look at.
    pub noise: BTreeMap<String, String>,
}

impl Conditions {
    /// The first round: what the jail holds is at its defaults, the rest is as the machine has it.
    pub fn plain(jobs: u32) -> Self {
        Self {
            jobs,
            world: World::default(),
            reverse_inodes: false,
            hostname: "parton".to_owned(),
            domainname: "(none)".to_owned(),
            user: "builder".to_owned(),
            noise: BTreeMap::new(),
        }
    }

    /// A further round (`round` ≥ 2): everything differs from the first and from each other round. The same derivation
    /// gets the same conditions in the same round again, so that a difference can be repeated.
    ///
    /// `cpus` is what the machine has.
    pub fn varied(derivation: DrvId, round: u32, jobs: u32, cpus: u32) -> Self {
        let mut dice = Dice::new(derivation, round);
        let day = 86_400;
        Self {
            jobs: jobs + round - 1,
            world: World {
                cpus: Some(cpus + dice.between(1, 6)),
                // More than a year, so that even a bare year in the output differs.
                clock_offset: i64::from(dice.between(370, 1500)) * day + i64::from(dice.between(0, 86_399)),
                uptime_offset: u64::from(dice.between(3, 300)) * 86_400,
                dir_order: Some(u64::from(dice.next()) << 32 | u64::from(dice.next())),
                pid_base: Some(dice.between(2_000, 28_000)),
                random_addresses: true,
                kernel_release: Some(format!("{}.{}.{}-varied", dice.between(7, 9), dice.between(0, 20), round)),
                memory: Some(u64::from(dice.between(3, 90)) * (1 << 30) + u64::from(dice.between(1, 200)) * (1 << 20)),
            },
            reverse_inodes: round.is_multiple_of(2),
            hostname: format!("varied-{:04x}", dice.between(0, 0xffff)),
            domainname: format!("domain-{round}.example"),
            user: format!("someone{round}"),
            noise: BTreeMap::from([
                ("PARTON_NOISE".to_owned(), format!("{:08x}", dice.next())),
                ("LOGNAME".to_owned(), format!("someone{round}")),
                ("USER".to_owned(), format!("someone{round}")),
            ]),
        }
    }
}

/// Numbers that depend on nothing but derivation and round.
struct Dice {
    seed: [u8; 32],
    rolls: u64,
}

impl Dice {
    fn new(derivation: DrvId, round: u32) -> Self {
        let mut to = Encoder::new("parton.conditions", 1);
        to.put(&derivation).put(&round);
        Self { seed: *to.finish().as_bytes(), rolls: 0 }
    }

    fn next(&mut self) -> u32 {
        let mut to = Encoder::new("parton.dice", 1);
        to.fixed(&self.seed);
        to.put(&self.rolls);
        self.rolls += 1;
        let digest = to.finish();
        let [a, b, c, d, ..] = *digest.as_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.next() % (high - low + 1)
    }
}

impl Canon for Conditions {
    fn encode(&self, to: &mut Encoder) {
        to.put(&self.jobs)
            .put(&self.world)
            .put(&self.reverse_inodes)
            .put(&self.hostname)
            .put(&self.domainname)
            .put(&self.user)
            .put(&self.noise);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_moves_and_stays_where_it_was_put() {
        let id = DrvId::from_bytes([7; 32]);
        let (plain, varied) = (Conditions::plain(2), Conditions::varied(id, 2, 2, 2));
        assert_eq!(varied, Conditions::varied(id, 2, 2, 2));
        assert_ne!(varied, Conditions::varied(id, 3, 2, 2));
        assert_ne!(plain.jobs, varied.jobs);
        assert!(varied.world.clock_offset > 366 * 86_400);
        assert!(varied.world.cpus > Some(2));
        assert!(varied.world.random_addresses && varied.reverse_inodes);
        assert_ne!(plain.hostname, varied.hostname);
        assert_ne!(plain.user, varied.user);
        assert!(!varied.noise.is_empty());
    }
}
