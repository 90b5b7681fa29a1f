//! What a package was built from, and how many bytes that nobody can read can reach it.

use super::ddc::{Ddc, Verdict};
use super::text::{BOLD, DIM, GREEN, RED, RESET, YELLOW, size};
use crate::base::{Blake3, DrvId, TreeDigest};
use crate::plan::{SourceInput, SourcePin};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything that a package was built from: what its own jail showed, what the jails of those showed, and so on down to the
/// seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Closure {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Name of the profile.
    pub profile: String,
    /// The builds, the package itself first, by their distance and then by name.
    pub members: Vec<Member>,
    /// The seeds, by their distance.
    pub seeds: Vec<SeedMember>,
}

/// One build.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// Package name, with its pass.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Name of the profile.
    pub profile: String,
    /// Its derivation; `None` if what it needs is not built, so that it is not known.
    pub id: Option<DrvId>,
    /// Its output; `None` if it is not built.
    pub output: Option<TreeDigest>,
    /// How many rounds stand behind the output; 0 if it is not built.
    pub rounds: u32,
    /// How many jails lie between: 0 is the package itself, 1 is what its own jail showed.
    pub jails: u32,
    /// How it gets there: the labels of the builds from the package to this one, both included.
    pub path: Vec<String>,
    /// Its sources; empty if the derivation is not known.
    pub sources: Vec<SourceInput>,
}

/// One seed: bytes that came as programs and that nothing here explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeedMember {
    /// The seed's id.
    pub id: Blake3,
    /// The lock that pins it.
    pub lock: String,
    /// How many binary packages it has.
    pub packages: usize,
    /// Bytes of those packages.
    pub bytes: u64,
    /// How many jails lie between: 1 if the package's own jail showed it.
    pub jails: u32,
    /// The shortest way: the labels of the builds from the package to the first that saw the seed.
    pub path: Vec<String>,
}

impl Closure {
    /// The seeds that the package's own jail showed.
    pub fn seen(&self) -> impl Iterator<Item = &SeedMember> {
        self.seeds.iter().filter(|seed| seed.jails == 1)
    }
}

/// A closure as text. `verbose` adds each build's sources.
pub fn closure(closure: &Closure, verbose: bool) -> String {
    let mut out = String::new();
    let Closure { name, version, profile, members, seeds } = closure;
    let _ = writeln!(out, "{BOLD}{name} {version}{RESET}  {DIM}{profile}{RESET}");
    let mut last = 0;
    for member in members.iter().filter(|member| verbose || member.jails > 0) {
        if member.jails != last {
            let heading = match member.jails {
                1 => "what its jail showed".to_owned(),
                n => format!("{} before that", jails(n - 1)),
            };
            let _ = writeln!(out, "  {heading}");
            last = member.jails;
        }
        let output = match (&member.output, member.rounds) {
            (None, _) => format!("{YELLOW}not built{RESET}"),
            (Some(tree), 1) => format!("{} {YELLOW}built once{RESET}", tree.short()),
            (Some(tree), _) => tree.short(),
        };
        let label = format!("{} {}", member.name, member.version);
        let _ = writeln!(out, "    {label:<28} {DIM}{:<10}{RESET} {output}", member.profile);
        if verbose {
            for source in &member.sources {
                let _ = writeln!(out, "      {DIM}{}: {}{RESET}", source.dest, pin(&source.pin));
            }
        }
    }
    if seeds.is_empty() {
        let _ = writeln!(out, "  {GREEN}no seed{RESET}");
    }
    for seed in seeds {
        let place = match seed.jails {
            1 => format!("{YELLOW}shown in its jail{RESET}"),
            n => format!("{} before its own", jails(n - 1)),
        };
        let _ = writeln!(out, "  seed {}: {} packages, {}, {place}", seed.lock, seed.packages, size(seed.bytes));
        let _ = writeln!(out, "    {DIM}{} ← seed{RESET}", seed.path.join(" ← "));
    }
    out
}

fn jails(n: u32) -> String {
    if n == 1 { "1 jail".to_owned() } else { format!("{n} jails") }
}

fn pin(pin: &SourcePin) -> String {
    match pin {
        SourcePin::Archive { sha256, .. } | SourcePin::File { sha256 } => format!("sha256 {sha256}"),
        SourcePin::Tree { tree } => format!("tree {tree}"),
    }
}

/// How many opaque bytes can reach a package, and what speaks against their having planted anything.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Name of the profile.
    pub profile: String,
    /// The file that was asked for, within the package's output.
    pub file: Option<String>,
    /// Bytes of all seeds that can reach it.
    pub opaque: u64,
    /// Those that its own jail showed.
    pub seen: u64,
    /// The seeds, each with the shortest way.
    pub seeds: Vec<SeedMember>,
    /// Packages on the way that two different toolchains built to the same bits.
    pub fixed: Vec<Fixed>,
    /// The same toolchain from another seed, if the workspace has such a chain: what is known of it.
    pub diverse: Option<Ddc>,
    /// Bytes that no argument covers: all of them, or where a second chain came to the same bits, what both seeds hold.
    pub uncovered: u64,
    /// Builds on the way that are not built, or built only once: nothing is proved of them.
    pub unproved: Vec<String>,
}

/// A package whose output did not depend on which of two toolchains built it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fixed {
    /// Package name.
    pub name: String,
    /// The profiles, at least two.
    pub profiles: Vec<String>,
    /// The output.
    pub output: TreeDigest,
}

impl Ledger {
    /// The ledger of a package with this closure, and with what is known of its toolchain from another seed.
    pub fn new(closure: &Closure, file: Option<String>, diverse: Option<Ddc>) -> Self {
        let opaque = closure.seeds.iter().map(|seed| seed.bytes).sum();
        let mut same: BTreeMap<(&str, TreeDigest), BTreeMap<DrvId, &str>> = BTreeMap::new();
        for member in closure.members.iter().filter(|member| member.jails > 0) {
            if let (Some(id), Some(output)) = (member.id, member.output) {
                same.entry((&member.name, output)).or_default().insert(id, &member.profile);
            }
        }
        let fixed = same.into_iter().filter(|(_, builds)| builds.len() > 1).map(|((name, output), builds)| {
            let mut profiles: Vec<String> = builds.into_values().map(str::to_owned).collect();
            profiles.sort();
            Fixed { name: name.to_owned(), profiles, output }
        });
        let unproved = closure.members.iter().filter(|member| member.rounds < 2);
        Self {
            name: closure.name.clone(),
            version: closure.version.clone(),
            profile: closure.profile.clone(),
            file,
            uncovered: match &diverse {
                Some(Ddc { verdict: Verdict::Equal, common, .. }) => common.bytes,
                _ => opaque,
            },
            diverse,
            opaque,
            seen: closure.seen().map(|seed| seed.bytes).sum(),
            seeds: closure.seeds.clone(),
            fixed: fixed.collect(),
            unproved: unproved.map(|member| format!("{} ({})", member.name, member.profile)).collect(),
        }
    }
}

/// A ledger as text.
pub fn ledger(ledger: &Ledger) -> String {
    let mut out = String::new();
    let of = ledger.file.as_ref().map(|file| format!("/{file} of ")).unwrap_or_default();
    let _ = writeln!(out, "{of}{BOLD}{} {}{RESET}  {DIM}{}{RESET}", ledger.name, ledger.version, ledger.profile);
    let _ = writeln!(out, "  opaque bytes that can reach it  {BOLD}{}{RESET} ({})", ledger.opaque, size(ledger.opaque));
    let _ = writeln!(out, "  of those, shown in its own jail  {}", ledger.seen);
    for seed in &ledger.seeds {
        let _ = writeln!(out, "  seed {}: {} packages, {}", seed.lock, seed.packages, size(seed.bytes));
        let _ = writeln!(out, "    {DIM}{} ← seed{RESET}", seed.path.join(" ← "));
    }
    for fixed in &ledger.fixed {
        let profiles = fixed.profiles.join(" and ");
        let _ = writeln!(
            out,
            "  {GREEN}fixed point{RESET}: {} is the same in {profiles} ({})",
            fixed.name,
            fixed.output.short()
        );
    }
    match &ledger.diverse {
        _ if ledger.seeds.is_empty() => {}
        Some(Ddc { verdict: Verdict::Equal, second, .. }) => {
            let _ = writeln!(out, "  {GREEN}from another seed{RESET}: {} comes to the same bits", second.profile);
        }
        Some(Ddc { verdict: Verdict::Differs, second, .. }) => {
            let _ =
                writeln!(out, "  {RED}from another seed{RESET}: {} comes to other bits (`parton ddc`)", second.profile);
        }
        Some(Ddc { second, .. }) => {
            let _ = writeln!(
                out,
                "  {YELLOW}from another seed{RESET}: not all of {} is built (`parton ddc`)",
                second.profile
            );
        }
        None => {
            let _ = writeln!(
                out,
                "  {YELLOW}no other seed{RESET}: one that plants itself in each compiler passes a fixed point; only a second, \
                 unrelated one tells"
            );
        }
    }
    let _ = writeln!(
        out,
        "  opaque bytes that no argument covers  {BOLD}{}{RESET} ({})",
        ledger.uncovered,
        size(ledger.uncovered)
    );
    if !ledger.unproved.is_empty() {
        let _ = writeln!(out, "  {YELLOW}not built twice{RESET}: {}", ledger.unproved.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::ddc::{Common, Compared, Lineage};
    use super::*;

    #[test]
    fn only_what_two_seeds_share_is_left_when_they_agree() {
        let path = vec!["a (last)".to_owned(), "cc (first)".to_owned()];
        let id = Blake3::of(b"seed");
        let seed = SeedMember { id, lock: "seed.lock".to_owned(), packages: 3, bytes: 100, jails: 2, path };
        let names = || ("a".to_owned(), "1".to_owned(), "last".to_owned());
        let (name, version, profile) = names();
        let closure = Closure { name, version, profile, members: Vec::new(), seeds: vec![seed] };
        let ddc = |second: u8| {
            let lineage = |profile: &str| Lineage { profile: profile.to_owned(), seeds: Vec::new() };
            let tree = |n| Some(TreeDigest::from_bytes([n; 32]));
            let (first, second) = (tree(1), if second == 0 { None } else { tree(second) });
            let packages = vec![Compared { name: "cc".to_owned(), first, second, differences: Vec::new() }];
            let common = Common { packages: vec!["libc6".to_owned()], bytes: 40 };
            let verdict = Ddc::judge(&packages);
            Ddc { first: lineage("first"), second: lineage("second"), common, packages, verdict }
        };
        let of = |diverse| Ledger::new(&closure, None, diverse);
        assert_eq!((of(None).opaque, of(None).seen, of(None).uncovered), (100, 0, 100));
        assert_eq!(of(Some(ddc(1))).uncovered, 40, "equal");
        assert_eq!(of(Some(ddc(2))).uncovered, 100, "different");
        assert_eq!(of(Some(ddc(0))).uncovered, 100, "the second is not built");
    }
}
