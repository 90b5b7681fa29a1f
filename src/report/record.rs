//! What is remembered of a package's build: the record that lies beside its output in the store.

use crate::base::{Blake3, DrvId, Sha256, TreeDigest, date};
use crate::build::coverage::{self, Coverage, Levels};
use crate::build::{Class, Conditions, End, Knob, Outcome, Output};
use crate::plan::Derivation;
use crate::sandbox::Stdin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Name and version of the record's format. A record with another one is refused, never guessed at.
pub const SCHEMA: &str = "parton.record/1";

/// Everything about one package's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// The derivation's id.
    pub id: DrvId,
    /// Name of the profile.
    pub profile: String,
    /// The derivation itself.
    pub derivation: Derivation,
    /// What was fetched, and what speaks for it.
    pub sources: Vec<SourceEvidence>,
    /// The rounds, in order.
    pub rounds: Vec<Outcome>,
    /// What the further rounds moved.
    #[serde(default)]
    pub varied: Vec<Varied>,
    /// What the further rounds of earlier builds of this package moved, as far as it adds to [`Record::coverage`]; of those
    /// only that came to the same output as their first round.
    #[serde(default)]
    pub history: Vec<Levels>,
    /// How many pairs of conditions were brought together, by `history` and the rounds with the first one's output.
    #[serde(default)]
    pub coverage: Coverage,
    /// What the rounds prove.
    pub verdict: Verdict,
    /// Where the rounds' outputs differ, if they do.
    pub differences: Vec<Differing>,
}

/// One difference between two rounds' outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// For people, in one line.
    pub line: String,
    /// For machines, as `compare` describes it.
    pub detail: serde_json::Value,
}

/// What one round moved, against the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Varied {
    /// Which round.
    pub round: u32,
    /// What no jail can hold still everywhere.
    pub open: Vec<Moved>,
    /// What the jail holds still otherwise.
    pub sealed: Vec<Moved>,
}

/// One knob that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which one.
    pub knob: Knob,
    /// To which of its levels; records of old do not say.
    pub level: Option<String>,
    /// Where it was in the first round, for people.
    pub from: String,
    /// Where it was in this one.
    pub to: String,
}

impl Varied {
    /// What `other` moved against the conditions of the first round.
    pub fn between(first: &Conditions, round: u32, other: &Conditions) -> Self {
        let moved = |class| {
            let knobs = first.differing(other).into_iter().filter(move |knob| knob.class() == class);
            knobs.map(|knob| Moved {
                knob,
                level: other.levels.get(&knob).cloned(),
                from: shown(knob, first),
                to: shown(knob, other),
            })
        };
        Self { round, open: moved(Class::Open).collect(), sealed: moved(Class::Sealed).collect() }
    }
}

/// What the rounds of a package prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// At least two rounds, all with the same output.
    Identical,
    /// One round: nothing is proved.
    Unproved,
    /// Rounds with different outputs, and open knobs were moved: what differs may do so for anybody.
    Differs,
    /// Rounds with different outputs, where only knobs were moved that the jail holds still otherwise: nobody who builds
    /// with parton meets this, but who rebuilds without it.
    Leaks,
    /// A round failed.
    Failed,
}

/// What is known of one source of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEvidence {
    /// File name, or the repository's URL.
    pub name: String,
    /// Digest the pin asks for; `None` for a repository.
    pub sha256: Option<Sha256>,
    /// parton's digest of the same bytes; `None` for a repository.
    pub blake3: Option<Blake3>,
    /// Bytes.
    pub size: u64,
    /// What the bits are: `release`, `forge` or `repack`.
    pub origin: String,
    /// Why they are not upstream's own release.
    pub origin_note: Option<String>,
    /// Which place served them: `store`, `upstream URL`, `archive trixie: path` …
    pub place: String,
    /// What the signature says.
    pub signature: SignatureEvidence,
}

/// What a signature says of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SignatureEvidence {
    /// The spec declares none.
    None,
    /// It was checked and holds.
    Good {
        /// Fingerprint of the pinned primary key.
        fingerprint: String,
        /// Who the key says it belongs to.
        signer: String,
        /// When it was made, in seconds since 1970.
        created: i64,
        /// Its hash algorithm.
        hash: String,
        /// What else should be known (the key has expired since, say).
        notes: Vec<String>,
    },
    /// It could not be fetched, and the spec says why that may be.
    Missing {
        /// The spec's reason.
        reason: String,
    },
}

/// The first line of a record: all that a build with nothing to do needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// What the rounds prove.
    pub verdict: Verdict,
    /// How many rounds there were.
    pub rounds: u32,
    /// The output that other packages may use.
    pub output: Option<TreeDigest>,
}

impl Glance {
    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Identical => "identical",
            Verdict::Unproved => "unproved",
            Verdict::Differs => "differs",
            Verdict::Leaks => "leaks",
            Verdict::Failed => "failed",
        };
        let output = self.output.map_or_else(|| "-".to_owned(), |output| output.to_string());
        format!("{SCHEMA} {verdict} {} {output}\n", self.rounds)
    }

    /// Reads the first line of a record; `None` if it is of another version or none at all.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(bytes.split(|b| *b == b'\n').next()?).ok()?;
        let mut words = line.strip_prefix(SCHEMA)?.split_whitespace();
        let verdict = match words.next()? {
            "identical" => Verdict::Identical,
            "unproved" => Verdict::Unproved,
            "differs" => Verdict::Differs,
            "leaks" => Verdict::Leaks,
            "failed" => Verdict::Failed,
            _ => return None,
        };
        let rounds = words.next()?.parse().ok()?;
        let output = match words.next()? {
            "-" => None,
            digest => Some(digest.parse().ok()?),
        };
        Some(Self { verdict, rounds, output })
    }
}

impl Record {
    /// The record of these rounds. Rounds that ended without an output make it failed; `differences` are between the
    /// first round's output and the first other one; `history` is what earlier builds moved.
    pub fn new(
        derivation: Derivation,
        profile: String,
        sources: Vec<SourceEvidence>,
        rounds: Vec<Outcome>,
        differences: Vec<Differing>,
        history: Vec<Levels>,
    ) -> Self {
        let outputs: Vec<Option<TreeDigest>> = rounds.iter().map(|r| r.output().map(|o| o.tree)).collect();
        let verdict = match outputs.as_slice() {
            [] => Verdict::Failed,
            all if all.contains(&None) => Verdict::Failed,
            [_] => Verdict::Unproved,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Verdict::Identical,
            _ => Verdict::Differs,
        };
        let further = rounds.split_first().map(|(first, rest)| {
            let between = |other: &Outcome| Varied::between(&first.conditions, other.round, &other.conditions);
            rest.iter().map(between).collect::<Vec<_>>()
        });
        let varied = further.unwrap_or_default();
        let verdict = match verdict {
            // Where nothing at all was moved it is chance, which anybody may meet.
            Verdict::Differs if blamed(&rounds) == (Blame { open: false, sealed: true }) => Verdict::Leaks,
            verdict => verdict,
        };
        let coverage = coverage::coverage(history.iter().chain(covering(&rounds)));
        Self {
            schema: SCHEMA.to_owned(),
            name: derivation.name.clone(),
            version: derivation.version.clone(),
            id: derivation.id(),
            profile,
            derivation,
            sources,
            rounds,
            varied,
            history,
            coverage,
            verdict,
            differences,
        }
    }

    /// The record as the store keeps it: one line that [`Glance`] reads, then JSON.
    ///
    /// # Errors
    /// A value can't be written as JSON; none of a record's can't.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let glance = Glance {
            verdict: self.verdict,
            rounds: u32::try_from(self.rounds.len()).unwrap_or(u32::MAX),
            output: self.output().map(|output| output.tree),
        };
        let mut bytes = glance.line().into_bytes();
        serde_json::to_writer(&mut bytes, self)?;
        Ok(bytes)
    }

    /// Reads a record that [`Record::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are not a record, or one of another version; the text says which.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes.iter().position(|b| *b == b'\n').ok_or("it has no first line")?;
        let record: Self = serde_json::from_slice(&bytes[end + 1..]).map_err(|error| error.to_string())?;
        match record.schema.as_str() {
            SCHEMA => Ok(record),
            other => Err(format!("its format is '{other}', this parton knows '{SCHEMA}'")),
        }
    }

    /// The output that other packages may use: the first round's, unless a round failed or differed.
    pub fn output(&self) -> Option<&Output> {
        match self.verdict {
            Verdict::Identical | Verdict::Unproved => self.rounds.first().and_then(Outcome::output),
            Verdict::Differs | Verdict::Leaks | Verdict::Failed => None,
        }
    }

    /// The first round that did not end with an output.
    pub fn failure(&self) -> Option<&Outcome> {
        self.rounds.iter().find(|round| !matches!(round.end, End::Built(_)))
    }

    /// What the further rounds of this build and of those before it moved, for the next build to go on from.
    pub fn walked(&self) -> Vec<Levels> {
        coverage::condense(self.history.iter().chain(covering(&self.rounds)).cloned())
    }

    /// What a further round moved; also of a record that does not say.
    pub fn varied(&self, round: &Outcome) -> Option<Varied> {
        let first = self.rounds.first().filter(|first| first.round != round.round)?;
        Some(Varied::between(&first.conditions, round.round, &round.conditions))
    }
}

/// Which classes of knobs were moved in the rounds that came to another output than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blame {
    pub open: bool,
    pub sealed: bool,
}

/// Says it of rounds of any age.
pub(super) fn blamed(rounds: &[Outcome]) -> Blame {
    let unlike = rounds.iter().filter(|round| !alike(rounds, round));
    let first = rounds.first().map(|first| &first.conditions);
    let moved: BTreeSet<Class> =
        unlike.filter_map(|round| Some(first?.differing(&round.conditions))).flatten().map(Knob::class).collect();
    Blame { open: moved.contains(&Class::Open), sealed: moved.contains(&Class::Sealed) }
}

/// Whether a round came to the first one's output.
fn alike(rounds: &[Outcome], round: &Outcome) -> bool {
    let tree = |round: &Outcome| round.output().map(|output| output.tree);
    rounds.first().and_then(tree) == tree(round)
}

/// What the further rounds moved that came to the first one's output.
fn covering(rounds: &[Outcome]) -> impl Iterator<Item = &Levels> {
    let further = rounds.iter().skip(1);
    further.filter(|round| round.output().is_some() && alike(rounds, round)).map(|round| &round.conditions.levels)
}

/// Where a knob is, in a few words.
fn shown(knob: Knob, at: &Conditions) -> String {
    let world = &at.world;
    let fact = |value: Option<String>| value.unwrap_or_else(|| "as it is".to_owned());
    match knob {
        Knob::Jobs => at.jobs.to_string(),
        Knob::Cpus => fact(world.cpus.map(|n| n.to_string())),
        Knob::CpuFacts => fact(world.cpu_model.clone()),
        Knob::Clock => match world.clock_start {
            Some(start) => format!("from {}", date(start)),
            None => days(world.clock_offset),
        },
        Knob::Uptime => days(world.uptime_offset.cast_signed()),
        Knob::DirectoryOrder => match (world.dir_backwards, world.dir_order) {
            (true, _) => "backwards".to_owned(),
            (false, seed) => fact(seed.map(|seed| format!("shuffled by {seed:x}"))),
        },
        Knob::InodeOrder => if at.reverse_inodes { "backwards" } else { "forwards" }.to_owned(),
        Knob::FileSystem => match (at.tmp_on_disk, at.build_on_overlay) {
            (_, true) => "build directory on an overlay",
            (true, false) => "/tmp on disk",
            (false, false) => "/tmp in memory",
        }
        .to_owned(),
        Knob::PidBase => format!("from {}", world.pid_base.unwrap_or(2)),
        Knob::Addresses => if world.random_addresses { "random" } else { "fixed" }.to_owned(),
        Knob::Kernel => fact(world.kernel_release.clone()),
        Knob::Memory => fact(world.memory.map(|bytes| format!("{} MiB", bytes >> 20))),
        Knob::Random => world.random.map_or("new each time".to_owned(), |seed| format!("seeded by {seed:x}")),
        Knob::HostName => at.hostname.clone(),
        Knob::Domain => at.domainname.clone(),
        Knob::MachineId => at.machine_id.clone(),
        Knob::Uid => at.uid.to_string(),
        Knob::User => at.user.clone(),
        Knob::Home => at.home.clone(),
        Knob::BuildPath => at.build_path.clone(),
        Knob::Locale => at.locale.clone(),
        Knob::TimeZone => at.time_zone.clone(),
        Knob::Umask => format!("{:03o}", at.umask),
        Knob::Environment => match at.noise.len() {
            0 => "nothing more".to_owned(),
            count => format!("{count} more"),
        },
        Knob::Terminal => {
            let size = at.terminal.size.map(|(columns, lines)| format!(", {columns} by {lines}")).unwrap_or_default();
            format!("{}{size}, {}", at.terminal.term, if at.terminal.pty { "a terminal" } else { "a pipe" })
        }
        Knob::Stdin => match at.stdin {
            Stdin::Null => "/dev/null",
            Stdin::Pipe => "a closed pipe",
            Stdin::File => "an empty file",
        }
        .to_owned(),
    }
}

fn days(seconds: i64) -> String {
    if seconds == 0 { "as it is".to_owned() } else { format!("{:+.1} days", seconds as f64 / 86_400.0) }
}
