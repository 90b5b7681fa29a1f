//! Records as text for people. Colour is written as escape codes; whoever prints strips them where they do not belong.

use super::record::{Blame, Moved, Record, SignatureEvidence, SourceEvidence, Verdict, blamed};
use crate::base::{date, printable};
use crate::build::coverage::{Coverage, Covered};
use crate::build::{Class, End, Outcome, PhaseOutcome};
use crate::sandbox::{Status, Stopped};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const DIM: &str = "\x1b[2m";
pub(super) const GREEN: &str = "\x1b[1;32m";
pub(super) const YELLOW: &str = "\x1b[1;33m";
pub(super) const RED: &str = "\x1b[1;31m";
pub(super) const RESET: &str = "\x1b[0m";

/// A record as a report. `verbose` adds every wall, condition and phase.
pub fn record(record: &Record, verbose: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{} {}{RESET}  {DIM}{}{RESET}", record.name, record.version, record.id.short());
    sources(&mut out, &record.sources);
    for round in &record.rounds {
        one_round(&mut out, record, round, verbose);
    }
    walls(&mut out, &record.rounds, verbose);
    if let Some(output) = record.output() {
        let _ = writeln!(
            out,
            "  output   {} files, {} links, {} in {}",
            output.files,
            output.links,
            size(output.bytes),
            output.tree
        );
        musl(&mut out, record, verbose);
    }
    covered(&mut out, record);
    verdict(&mut out, record);
    out
}

fn sources(out: &mut String, list: &[SourceEvidence]) {
    for source in list {
        let _ = writeln!(out, "  source   {} ({})", source.name, size(source.size));
        let _ = writeln!(out, "           from {}", source.place);
        if let Some(note) = &source.origin_note {
            let _ = writeln!(out, "           {YELLOW}{}{RESET}: {note}", source.origin);
        }
        if let Some(sha256) = &source.sha256 {
            let _ = writeln!(out, "           sha256 {sha256} {GREEN}holds{RESET}");
        }
        match &source.signature {
            SignatureEvidence::None => {
                let _ = writeln!(out, "           {YELLOW}no signature declared{RESET}");
            }
            SignatureEvidence::Missing { reason } => {
                let _ = writeln!(out, "           {YELLOW}signature missing{RESET}: {reason}");
            }
            SignatureEvidence::Good { fingerprint, signer, created, hash, notes } => {
                let _ = writeln!(
                    out,
                    "           signed {} by {} {GREEN}holds{RESET}",
                    date(*created),
                    printable(signer.as_bytes())
                );
                let _ = writeln!(out, "           {DIM}key {fingerprint}, {hash}{RESET}");
                for note in notes {
                    let _ = writeln!(out, "           {DIM}{note}{RESET}");
                }
            }
        }
    }
}

fn one_round(out: &mut String, record: &Record, round: &Outcome, verbose: bool) {
    let phases: Vec<String> =
        round.phases.iter().map(|phase| format!("{} {}", phase.name, seconds(phase.wall))).collect();
    let _ = writeln!(out, "  round {}  {} {DIM}({}){RESET}", round.round, seconds(round.wall), phases.join(", "));
    match record.varied(round) {
        None => {
            let _ = writeln!(
                out,
                "           {DIM}{} jobs, everything else as the machine has it{RESET}",
                round.conditions.jobs
            );
        }
        Some(varied) => {
            for (class, list) in [(Class::Open, &varied.open), (Class::Sealed, &varied.sealed)] {
                moved(out, class, list, verbose);
            }
        }
    }
    for phase in &round.phases {
        note_phase(out, phase, verbose);
    }
}

/// What a round moved of one class.
fn moved(out: &mut String, class: Class, list: &[Moved], verbose: bool) {
    if list.is_empty() {
        let _ = writeln!(out, "           {DIM}{:<6}  nothing moved{RESET}", class.name());
    } else if verbose {
        for Moved { knob, level, from, to } in list {
            let level = level.as_ref().map(|level| format!("={level}")).unwrap_or_default();
            let _ = writeln!(out, "           {DIM}{:<6}  {knob}{level}: {from} → {to}{RESET}", class.name());
        }
    } else {
        let names: Vec<&str> = list.iter().map(|moved| moved.knob.name()).collect();
        let _ = writeln!(out, "           {DIM}{:<6}  other {}{RESET}", class.name(), names.join(", "));
    }
}

/// How much of what could be tried was tried.
fn covered(out: &mut String, record: &Record) {
    let Coverage { open, sealed, mixed } = record.coverage;
    let all = record.coverage.all();
    if all.of == 0 || record.rounds.len() < 2 || record.verdict == Verdict::Failed {
        // Nothing was varied or came to its end, or the record is of old.
        return;
    }
    let share = |covered: Covered| format!("{} of {}", covered.pairs, covered.of);
    let before = match record.history.len() {
        0 => String::new(),
        1 => ", 1 round of an earlier build counted".to_owned(),
        many => format!(", {many} rounds of earlier builds counted"),
    };
    let _ = writeln!(
        out,
        "  covered  {} pairs of conditions ({} %) {DIM}(open {}, sealed {}, mixed {}{before}){RESET}",
        share(all),
        all.pairs * 100 / all.of,
        share(open),
        share(sealed),
        share(mixed)
    );
}

fn note_phase(out: &mut String, phase: &PhaseOutcome, verbose: bool) {
    if verbose {
        let _ = writeln!(
            out,
            "           {DIM}{:<10} {:>8} elapsed {:>8} processor {:>10} peak{RESET}",
            phase.name,
            seconds(phase.wall),
            seconds(phase.cpu),
            size(phase.peak_memory)
        );
    }
    if phase.orphans > 0 {
        let _ = writeln!(
            out,
            "           {YELLOW}{} left {} processes behind, which were stopped{RESET}",
            phase.name, phase.orphans
        );
    }
}

fn walls(out: &mut String, rounds: &[Outcome], verbose: bool) {
    // The round with most of them: some walls stand only where the world is varied.
    let Some(round) = rounds.iter().max_by_key(|round| round.probes.len()) else { return };
    let tried: u32 = rounds.iter().flat_map(|round| &round.probes).map(|probe| probe.times).sum();
    let proof = match tried {
        0 => "not probed".to_owned(),
        tried => format!("{} probes from inside, {tried} tries, all stopped", round.probes.len()),
    };
    if verbose {
        for wall in &round.walls {
            let _ = writeln!(out, "  wall     {:<14} {DIM}{}{RESET}", wall.name, wall.by);
            for probe in round.probes.iter().filter(|probe| probe.wall == wall.name) {
                let _ = writeln!(out, "           {DIM}· {}: {}{RESET}", probe.name, printable(probe.by.as_bytes()));
            }
        }
        let _ = writeln!(out, "  probes   {proof}");
    } else {
        let _ = writeln!(out, "  walls    {} enforced, {proof}", round.walls.len());
    }
}

fn musl(out: &mut String, record: &Record, verbose: bool) {
    let Some(output) = record.output() else { return };
    if output.programs.is_empty() {
        let _ = writeln!(out, "  linked   {DIM}no programs or shared libraries{RESET}");
    } else {
        let mut needed: Vec<&str> = output.programs.iter().flat_map(|p| p.needed.iter().map(String::as_str)).collect();
        needed.sort_unstable();
        needed.dedup();
        let with = if needed.is_empty() { "nothing: all static".to_owned() } else { needed.join(", ") };
        let _ = writeln!(out, "  linked   {} programs and libraries against {with}", output.programs.len());
        if verbose {
            for program in &output.programs {
                let _ = writeln!(out, "           {DIM}{}: {}{RESET}", program.path, program.needed.join(", "));
            }
        }
    }
    if !output.build_paths.is_empty() {
        let _ = writeln!(
            out,
            "  leak     {YELLOW}{} files name a path below /build{RESET} {DIM}({}{}){RESET}",
            output.build_paths.len(),
            output.build_paths.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
            if output.build_paths.len() > 3 { ", …" } else { "" }
        );
    }
}

fn verdict(out: &mut String, record: &Record) {
    match record.verdict {
        Verdict::Identical => {
            let _ = writeln!(out, "  {GREEN}identical{RESET} in {} rounds", record.rounds.len());
        }
        Verdict::Unproved => {
            let _ = writeln!(out, "  {YELLOW}unproved{RESET}: built once");
        }
        Verdict::Differs | Verdict::Leaks => {
            let count = record.differences.len();
            let word = if record.verdict == Verdict::Leaks { "leaks" } else { "differs" };
            let s = if count == 1 { "" } else { "s" };
            let _ = writeln!(out, "  {RED}{word}{RESET}: {count} difference{s}, {}", suspects(record));
            for difference in record.differences.iter().take(20) {
                let _ = writeln!(out, "    {}", difference.line);
            }
            if count > 20 {
                let _ = writeln!(out, "    … and {} more (--json lists all)", count - 20);
            }
        }
        Verdict::Failed => {
            let end = record.failure().map(|round| (round.round, end(&round.end)));
            if let Some((round, what)) = end {
                let _ = writeln!(out, "  {RED}failed{RESET} in round {round}: {what}");
                if let Some(End::Failed { script, .. }) = record.failure().map(|round| &round.end) {
                    for line in script.trim().lines() {
                        let _ = writeln!(out, "           {DIM}${RESET} {line}");
                    }
                }
            }
        }
    }
}

/// Which classes of knobs can be to blame for a difference.
fn suspects(record: &Record) -> &'static str {
    match blamed(&record.rounds) {
        Blame { open: true, sealed: true } => "where open and sealed conditions were moved",
        Blame { open: true, sealed: false } => {
            "where only open conditions were moved: a failure, which anybody may meet"
        }
        Blame { open: false, sealed: true } => {
            "where only sealed conditions were moved: a leak, which only who rebuilds without parton meets"
        }
        Blame { open: false, sealed: false } => "where nothing was moved: chance, or a race",
    }
}

/// The end of a log.
pub fn log_tail(path: &Path, lines: &[String]) -> String {
    let mut out = format!("  log      {DIM}{}{RESET}\n", path.display());
    for line in lines {
        let _ = writeln!(out, "  {DIM}│{RESET} {line}");
    }
    out
}

/// A verdict in one word.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical => "identical",
        Verdict::Unproved => "unproved",
        Verdict::Differs => "differs",
        Verdict::Leaks => "leaks",
        Verdict::Failed => "failed",
    }
}

/// One line that counts what became of packages, in words as [`verdict_word`] gives them.
pub fn summary<'a>(words: impl Iterator<Item = &'a str>, took: Duration) -> String {
    let order = ["failed", "differs", "leaks", "skipped", "unproved", "identical", "known"];
    let words: Vec<&str> = words.collect();
    let mut parts = Vec::new();
    for word in order {
        let count = words.iter().filter(|w| **w == word).count();
        if count > 0 {
            let colour = match word {
                "failed" | "differs" | "leaks" => RED,
                "skipped" | "unproved" => YELLOW,
                _ => GREEN,
            };
            parts.push(format!("{colour}{count} {word}{RESET}"));
        }
    }
    let noun = if words.len() == 1 { "package" } else { "packages" };
    format!("{} {noun} in {:.2} s: {}\n", words.len(), took.as_secs_f64(), parts.join(", "))
}

/// What was fetched for a package.
pub fn fetched(name: &str, version: &str, list: &[SourceEvidence]) -> String {
    let mut out = format!("{BOLD}{name} {version}{RESET}\n");
    sources(&mut out, list);
    out
}

/// How a round ended, in a few words.
pub fn end(end: &End) -> String {
    match end {
        End::Built(output) => format!("built {}", output.tree),
        End::Failed { phase, status, .. } => format!("phase {phase} {}", status_text(*status)),
        End::Stopped { phase, reason } => format!("stopped in phase {phase}: {}", stopped(reason)),
        End::Refused { faults } => {
            let list: Vec<String> = faults.iter().map(|fault| format!("\n    {fault}")).collect();
            format!("the output is refused:{}", list.concat())
        }
    }
}

fn status_text(status: Status) -> String {
    match status {
        Status::Code(code) => format!("exited with {code}"),
        Status::Signal(signal) => format!("was killed by signal {signal}"),
    }
}

/// Why a run was stopped, and what can be done.
pub fn stopped(reason: &Stopped) -> String {
    match reason {
        Stopped::Time(limit) => format!("longer than {} s; raise `time` in the spec's [limits]", limit.as_secs()),
        Stopped::Silence(limit) => {
            format!("no output for {} s; raise `silence` in the spec's [limits]", limit.as_secs())
        }
        Stopped::Output(limit) => {
            format!("more than {} of output; raise `output` in the spec's [limits]", size(*limit))
        }
        Stopped::Disk(limit) => format!("more than {} on disk; raise `disk` in the spec's [limits]", size(*limit)),
        Stopped::DiskReserve(limit) => format!("less than {} left on the disk; make room", size(*limit)),
        Stopped::Processes(limit) => {
            format!("process limit {limit}; raise `processes` in the spec's [limits]")
        }
        Stopped::Memory(limit) => format!("memory limit {}; raise `memory` in the spec's [limits]", size(*limit)),
        Stopped::OutOfMemory => {
            "the kernel ended a process for lack of memory; give this machine more, or run fewer jobs and rounds at once              (--jobs, --parallel)"
                .to_owned()
        }
        Stopped::Descriptors(limit) => {
            format!("{limit} open descriptors in one process; raise `descriptors` in the spec's [limits]")
        }
        Stopped::Scratch(limit) => format!("/tmp was full ({}); write large files below /build", size(*limit)),
        Stopped::Cancelled => "interrupted".to_owned(),
    }
}

/// A duration in seconds, with one decimal.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Bytes in the largest binary unit that leaves at least one.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
