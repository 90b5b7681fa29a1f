//! Questions about this host: which walls it gives, whether they hold, and whether the probes that say so can fail.

use super::bait::Baits;
use super::canary::Tried;
use super::error::Error;
use super::examine::Examined;
use super::jail::{Exit, Jail, Limits, Stdin, Stdio, Step, Wall, World};
use super::launch::{Ended, Launcher, attempt, run_checked};
use super::wire::{self, Down, Up, Wire};
use crate::base::Cancel;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A program that no root has.
const NOTHING: &str = "/nothing";

/// Builds all walls around nothing, in a world that needs all of them, and says which they are. None of them is probed.
///
/// # Errors
/// The first wall that this host does not give, with [`Error::help`] on what to do about it.
pub fn probe(launcher: &Launcher) -> Result<Vec<Wall>, Error> {
    let jail = Jail {
        // What it sheds and is put under before its program is executed are walls as well; there is none to execute.
        steps: vec![Step {
            name: "probe".to_owned(),
            argv: vec![NOTHING.to_owned()],
            env: BTreeMap::new(),
            cwd: "/".to_owned(),
            timeout: None,
        }],
        ..empty(World { clock_offset: 1, uptime_offset: 1, ..World::default() })
    };
    match attempt(launcher, &jail, &mut |_| {}, &Cancel::new())? {
        (exit, Some(Error::Step { object, source, .. }))
            if object == NOTHING && source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(exit.walls)
        }
        (_, Some(error)) => Err(error),
        (_, None) => Err(Error::Lost { status: "it executed a program that is not there".to_owned() }),
    }
}

/// Builds all walls around nothing, in such a world, and tries to get through each from inside: [`Exit::walls`] and
/// [`Exit::probes`].
///
/// # Errors
/// The first wall that this host does not give, or that does not hold.
pub fn prove(launcher: &Launcher, world: World) -> Result<Exit, Error> {
    let jail = Jail { canaries: true, ..empty(world) };
    run_checked(launcher, &jail, &mut |_| {}, &Cancel::new())
}

/// Tries to build each wall on its own: its name, what it is made of, and why it can't be built, if it can't.
///
/// # Errors
/// Parton can't start itself or lost itself.
pub fn examine(launcher: &Launcher) -> Result<Vec<(String, String, Option<Error>)>, Error> {
    match ask(launcher, &Down::Examine(Box::new(empty(World::default()))))? {
        Up::Examined(list) => {
            let told = |(wall, by, failure): Examined| (wall, by, failure.map(|f| Error::from_inside(f, None)));
            Ok(list.into_iter().map(told).collect())
        }
        _ => Err(Error::Lost { status: "it spoke of something else".to_owned() }),
    }
}

/// Runs the probes of a jail in such a world without the jail: whether they can get through where nothing stops them.
///
/// # Errors
/// Parton can't start itself or lost itself.
pub fn control(launcher: &Launcher, world: World) -> Result<Vec<Tried>, Error> {
    let jail = empty(world);
    let baits = Baits::lay(&jail);
    match ask(launcher, &Down::Control(Box::new(jail), Box::new(baits.told.clone())))? {
        Up::Probed(tried) => Ok(tried),
        _ => Err(Error::Lost { status: "it spoke of something else".to_owned() }),
    }
}

/// Starts a first process for one question, and gives its answer.
fn ask(launcher: &Launcher, question: &Down) -> Result<Up, Error> {
    let launch = |source| Error::Launch { exe: launcher.exe.clone(), source };
    let talk = |operation| move |source| Error::Talk { operation, source };
    let (ours, theirs) = UnixStream::pair().map_err(launch)?;
    let (_read, write) = io::pipe().map_err(launch)?;
    let mut child = Ended(launcher.start(Stdio::Captured, theirs, Some(write.into())).map_err(launch)?);
    let input = File::open("/dev/null").map_err(talk("open /dev/null"))?;
    let mut wire = Wire::new(ours);
    wire::send_descriptor(wire.as_fd(), input.as_fd())
        .and_then(|()| wire.send(question))
        .map_err(talk("tell the sandbox what to do"))?;
    let answer = wire.receive().map_err(talk("listen to the sandbox"))?;
    let status = child.0.wait().map_err(talk("wait for the end"))?;
    answer.ok_or_else(|| Error::Lost { status: status.to_string() })
}

/// A jail without a layer, whose root is what the sandbox itself brings: an overlay all the same.
fn empty(world: World) -> Jail {
    Jail {
        root: Vec::new(),
        overlays: Vec::new(),
        binds: Vec::new(),
        overlaid: BTreeMap::new(),
        files: BTreeMap::from([("/etc/hostname".to_owned(), b"probe\n".to_vec())]),
        tmp_size: 1 << 20,
        uid: 1000,
        umask: 0o022,
        hostname: "probe".to_owned(),
        domainname: "probe".to_owned(),
        world,
        limits: Limits { time: Duration::from_secs(30), ..Limits::default() },
        canaries: false,
        steps: Vec::new(),
        stdio: Stdio::Captured,
        stdin: Stdin::Null,
    }
}
