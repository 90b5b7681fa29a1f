//! Diverse double-compiling: what two chains that start from unrelated seeds come to.
//!
//! After D. A. Wheeler, *Fully Countering Trusting Trust through Diverse Double-Compiling* (2009). A compiler that plants
//! something in each compiler it compiles can pass any number of rebuilds by itself; two unrelated ones that come to the same
//! bits can both have planted it only if they were made to plant the same.

use super::text::{BOLD, DIM, GREEN, RED, RESET, YELLOW, size};
use crate::base::{Blake3, TreeDigest};
use serde::Serialize;
use std::fmt::Write as _;

/// Two chains and what they come to.
#[derive(Debug, Clone, Serialize)]
pub struct Ddc {
    /// The chain that is used.
    pub first: Lineage,
    /// The chain that is held against it.
    pub second: Lineage,
    /// What both seeds hold, bit for bit: about this nothing is proved.
    pub common: Common,
    /// The packages that were compared, by name.
    pub packages: Vec<Compared>,
    /// What follows.
    pub verdict: Verdict,
}

/// One chain.
#[derive(Debug, Clone, Serialize)]
pub struct Lineage {
    /// Name of its last profile.
    pub profile: String,
    /// Its seeds.
    pub seeds: Vec<Start>,
}

/// What a chain starts from.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    /// Id of the seed.
    pub id: Blake3,
    /// How many binary packages it has.
    pub packages: usize,
    /// Bytes of those.
    pub bytes: u64,
}

/// Binary packages that both seeds hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Common {
    /// Their names.
    pub packages: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// A package as the two chains built it.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// The first chain's output, if it is known.
    pub first: Option<TreeDigest>,
    /// The second's.
    pub second: Option<TreeDigest>,
    /// What differs, a line each.
    pub differences: Vec<String>,
}

/// What a comparison of two chains shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every package is the same from both: what only one of the seeds holds planted nothing.
    Equal,
    /// Some differ: a seed planted something, or something of the seed leaks into what is built.
    Differs,
    /// Some are not built.
    Unknown,
}

impl Ddc {
    /// The verdict on these packages.
    pub fn judge(packages: &[Compared]) -> Verdict {
        if packages.iter().any(|one| matches!((one.first, one.second), (Some(a), Some(b)) if a != b)) {
            Verdict::Differs
        } else if packages.is_empty() || packages.iter().any(|one| one.first.is_none() || one.second.is_none()) {
            Verdict::Unknown
        } else {
            Verdict::Equal
        }
    }
}

/// How many differences of a package are shown to people.
const SHOWN: usize = 12;

/// A comparison as text.
pub fn text(ddc: &Ddc) -> String {
    let mut out = String::new();
    for lineage in [&ddc.first, &ddc.second] {
        let _ = writeln!(out, "{BOLD}{}{RESET}", lineage.profile);
        for seed in &lineage.seeds {
            let _ = writeln!(out, "  from seed {}: {} packages, {}", seed.id.short(), seed.packages, size(seed.bytes));
        }
    }
    let _ = writeln!(out, "  in both seeds: {} packages, {}", ddc.common.packages.len(), size(ddc.common.bytes));
    for one in &ddc.packages {
        let what = match (one.first, one.second) {
            (Some(a), Some(b)) if a == b => format!("{GREEN}equal{RESET}      {}", a.short()),
            (Some(a), Some(b)) => format!("{RED}different{RESET}  {} and {}", a.short(), b.short()),
            (None, None) => format!("{YELLOW}built by neither{RESET}"),
            (None, _) => format!("{YELLOW}not built by {}{RESET}", ddc.first.profile),
            (_, None) => format!("{YELLOW}not built by {}{RESET}", ddc.second.profile),
        };
        let _ = writeln!(out, "  {:<16} {what}", one.name);
        for line in one.differences.iter().take(SHOWN) {
            let _ = writeln!(out, "    {DIM}{line}{RESET}");
        }
        if let Some(more @ 1..) = one.differences.len().checked_sub(SHOWN) {
            let _ = writeln!(out, "    {DIM}and {more} more{RESET}");
        }
    }
    let _ = match ddc.verdict {
        Verdict::Equal => writeln!(
            out,
            "{GREEN}equal{RESET}: what only one of the seeds holds planted nothing; of what both hold nothing is proved ({})",
            ddc.common.packages.join(", ")
        ),
        Verdict::Differs => {
            writeln!(out, "{RED}different{RESET}: a seed planted something, or a trace of a seed is in what is built")
        }
        Verdict::Unknown => writeln!(out, "{YELLOW}nothing is proved{RESET}: not everything is built"),
    };
    out
}
