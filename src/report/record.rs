//! What is remembered of a package's build: the record that lies beside its output in the store.

use crate::base::{Blake3, DrvId, Sha256, TreeDigest};
use crate::build::{Conditions, End, Outcome, Output};
use crate::plan::Derivation;
use serde::{Deserialize, Serialize};

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

/// What the rounds of a package prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// At least two rounds, all with the same output.
    Identical,
    /// One round: nothing is proved.
    Unproved,
    /// Rounds with different outputs.
    Differs,
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
    /// first round's output and the first other one.
    pub fn new(
        derivation: Derivation,
        profile: String,
        sources: Vec<SourceEvidence>,
        rounds: Vec<Outcome>,
        differences: Vec<Differing>,
    ) -> Self {
        let outputs: Vec<Option<TreeDigest>> = rounds.iter().map(|r| r.output().map(|o| o.tree)).collect();
        let verdict = match outputs.as_slice() {
            [] => Verdict::Failed,
            all if all.contains(&None) => Verdict::Failed,
            [_] => Verdict::Unproved,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Verdict::Identical,
            _ => Verdict::Differs,
        };
        Self {
            schema: SCHEMA.to_owned(),
            name: derivation.name.clone(),
            version: derivation.version.clone(),
            id: derivation.id(),
            profile,
            derivation,
            sources,
            rounds,
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
            Verdict::Differs | Verdict::Failed => None,
        }
    }

    /// The first round that did not end with an output.
    pub fn failure(&self) -> Option<&Outcome> {
        self.rounds.iter().find(|round| !matches!(round.end, End::Built(_)))
    }

    /// The conditions of the first round and of another one that differ, as `name: first → other`.
    pub fn varied(first: &Conditions, other: &Conditions) -> Vec<String> {
        fn show<T: std::fmt::Debug>(value: &T) -> String {
            format!("{value:?}").trim_matches('"').to_owned()
        }
        let mut list = Vec::new();
        let mut knob = |name: &str, a: String, b: String| {
            if a != b {
                list.push(format!("{name}: {a} → {b}"));
            }
        };
        let fact = |value: Option<String>| value.unwrap_or_else(|| "as it is".to_owned());
        let (a, b) = (&first.world, &other.world);
        knob("jobs", first.jobs.to_string(), other.jobs.to_string());
        knob("processors", fact(a.cpus.map(|n| n.to_string())), fact(b.cpus.map(|n| n.to_string())));
        knob("clock", days(a.clock_offset), days(b.clock_offset));
        knob("uptime", days(a.uptime_offset.cast_signed()), days(b.uptime_offset.cast_signed()));
        let order = |seed: Option<u64>| seed.map_or("as it is".to_owned(), |seed| format!("shuffled by {seed:x}"));
        knob("directory order", order(a.dir_order), order(b.dir_order));
        let inodes = |reverse: bool| if reverse { "backwards" } else { "forwards" }.to_owned();
        knob("inode order", inodes(first.reverse_inodes), inodes(other.reverse_inodes));
        let pid = |base: Option<u32>| base.map_or("from 2".to_owned(), |base| format!("from {base}"));
        knob("process ids", pid(a.pid_base), pid(b.pid_base));
        let aslr = |random: bool| if random { "random" } else { "fixed" }.to_owned();
        knob("addresses", aslr(a.random_addresses), aslr(b.random_addresses));
        knob("kernel", fact(a.kernel_release.clone()), fact(b.kernel_release.clone()));
        let memory = |bytes: Option<u64>| fact(bytes.map(|bytes| format!("{} MiB", bytes >> 20)));
        knob("memory", memory(a.memory), memory(b.memory));
        knob("host name", first.hostname.clone(), other.hostname.clone());
        knob("domain", first.domainname.clone(), other.domainname.clone());
        knob("user", first.user.clone(), other.user.clone());
        let noise = |map: &std::collections::BTreeMap<String, String>| {
            if map.is_empty() { "none".to_owned() } else { show(&map.keys().collect::<Vec<_>>()) }
        };
        knob("extra variables", noise(&first.noise), noise(&other.noise));
        list
    }
}

fn days(seconds: i64) -> String {
    if seconds == 0 { "as it is".to_owned() } else { format!("{:+.1} days", seconds as f64 / 86_400.0) }
}
