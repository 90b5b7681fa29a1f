//! `parton doctor`: which walls this machine gives, whether they hold, and what to do about those that don't.

use super::{Error, Launcher};
use crate::sandbox::{self, Probe, World};
use serde::Serialize;

/// What was found out about this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Release of the running kernel.
    pub kernel: String,
    /// Every wall, in the order in which they are built.
    pub walls: Vec<WallFound>,
    /// What is wrong with all of them together, although each alone could be built.
    pub problem: Option<Problem>,
    /// The same probes without any wall: what is not stopped there can be stopped by walls only.
    pub control: Vec<Uncontrolled>,
    /// How many of the probes got through without walls.
    pub through: usize,
    /// Whether builds can be sealed here.
    pub sealed: bool,
}

/// One wall on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct WallFound {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub by: String,
    /// Why it can't be built, if it can't.
    pub problem: Option<Problem>,
    /// The attempts to get through it, all of which were stopped. Empty where no jail could be built.
    pub probes: Vec<Probe>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// What.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A probe that is stopped on this machine even without walls, so that its success proves nothing more.
#[derive(Debug, Clone, Serialize)]
pub struct Uncontrolled {
    /// The wall it tries.
    pub wall: String,
    /// What it tries.
    pub name: String,
    /// What stops it.
    pub by: String,
}

impl From<&sandbox::Error> for Problem {
    fn from(error: &sandbox::Error) -> Self {
        Self { what: super::chain(error), help: error.help() }
    }
}

/// A world in which everything differs from the machine, so that every probe has something to look for.
fn another_world() -> World {
    World {
        cpus: Some(61),
        clock_offset: 500 * 86_400,
        uptime_offset: 40 * 86_400,
        dir_order: Some(7),
        pid_base: Some(2000),
        random_addresses: true,
        kernel_release: Some("9.9.9-varied".to_owned()),
        memory: Some(77 << 30),
        cpu_model: Some("none".to_owned()),
        ..World::default()
    }
}

/// Examines this machine.
///
/// # Errors
/// Parton can't start itself. What the machine lacks is in the diagnosis.
pub fn doctor(launcher: &Launcher) -> Result<Diagnosis, Error> {
    let examined = sandbox::examine(launcher)?;
    let proved = sandbox::prove(launcher, World::default()).and_then(|_| sandbox::prove(launcher, another_world()));
    let control = sandbox::control(launcher, another_world())?;
    let mut walls: Vec<WallFound> = examined
        .iter()
        .map(|(name, by, error)| WallFound {
            name: name.clone(),
            by: by.clone(),
            problem: error.as_ref().map(Problem::from),
            probes: Vec::new(),
        })
        .collect();
    let mut problem = None;
    match &proved {
        Ok(exit) => {
            for wall in &exit.walls {
                let probes = exit.probes.iter().filter(|probe| probe.wall == wall.name).cloned().collect();
                match walls.iter_mut().find(|found| found.name == wall.name) {
                    Some(found) => (found.by, found.probes) = (wall.by.clone(), probes),
                    None => {
                        walls.push(WallFound { name: wall.name.clone(), by: wall.by.clone(), problem: None, probes });
                    }
                }
            }
        }
        Err(error) if walls.iter().all(|wall| wall.problem.is_none()) => problem = Some(Problem::from(error)),
        Err(_) => {}
    }
    let through = control.iter().filter(|tried| !tried.held).count();
    let held = control.into_iter().filter(|tried| tried.held);
    Ok(Diagnosis {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        sealed: proved.is_ok() && walls.iter().all(|wall| wall.problem.is_none()),
        walls,
        problem,
        control: held.map(|tried| Uncontrolled { wall: tried.wall, name: tried.name, by: tried.what }).collect(),
        through,
    })
}
