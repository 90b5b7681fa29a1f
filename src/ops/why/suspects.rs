//! Lines of the spec, the sources and the log that may be what lets a condition in.

use super::super::{Error, Session};
use crate::base::printable;
use crate::build::{Knob, lay_source};
use crate::compare::cause::{holds_word, remedy, suspect};
use crate::plan::Derivation;
use crate::report::why::{Explained, Suspect};
use crate::tree::{Entry, Order, Tree};
use fs_err as fs;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Files that are looked through at most, and bytes of each.
const FILES: usize = 20_000;
const LONGEST: u64 = 1 << 20;

/// Bytes of all of them together, which are held in memory.
const ALL: u64 = 256 << 20;

/// Suspects that are told.
const MOST: usize = 8;

/// What is looked through. The sources are unpacked when the first finding needs them.
pub struct Sources<'a> {
    session: &'a Session<'a>,
    derivation: &'a Derivation,
    log: Option<PathBuf>,
    texts: Option<Vec<Text>>,
}

struct Text {
    name: String,
    bytes: Vec<u8>,
    /// What its being there is worth: the spec's own lines ran for sure.
    weight: u32,
}

impl<'a> Sources<'a> {
    /// The sources of a derivation and the log of one of its builds.
    pub fn new(session: &'a Session<'a>, derivation: &'a Derivation, log: Option<PathBuf>) -> Self {
        Self { session, derivation, log, texts: None }
    }

    /// Adds to a finding which lines may be its cause, the likeliest first, and what helps.
    pub fn suspects(&mut self, finding: &mut Explained, knobs: &BTreeSet<Knob>) -> Result<(), Error> {
        if knobs.is_empty() {
            return Ok(());
        }
        if self.texts.is_none() {
            self.texts = Some(self.read()?);
        }
        let names: Vec<&str> = knobs.iter().map(|knob| knob.name()).collect();
        let products: BTreeSet<&str> = finding.places.iter().filter_map(|site| site.path.rsplit('/').next()).collect();
        let mut found = Vec::new();
        for text in self.texts.iter().flatten() {
            let about = products.iter().any(|name| !name.is_empty() && holds_word(&text.bytes, name.as_bytes()));
            for (number, line) in text.bytes.split(|byte| *byte == b'\n').enumerate() {
                let Some(habit) = suspect(line, &names) else { continue };
                let here = products.iter().any(|name| !name.is_empty() && holds_word(line, name.as_bytes()));
                let weight = habit.weight * 2 + text.weight + 4 * u32::from(here) + u32::from(about);
                let shown = printable(&line.trim_ascii()[..line.trim_ascii().len().min(160)]);
                let remedy = habit.remedy.to_owned();
                found.push(Suspect { file: text.name.clone(), line: number + 1, text: shown, weight, remedy });
            }
        }
        found.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.cmp(b)));
        found.dedup_by(|a, b| a.text == b.text);
        found.truncate(MOST);
        for text in found.iter().take(2).map(|suspect| suspect.remedy.clone()) {
            if !finding.remedies.contains(&text) {
                finding.remedies.push(text);
            }
        }
        let general = names.iter().filter_map(|name| remedy(name)).map(str::to_owned);
        let general: Vec<String> = general.filter(|text| !finding.remedies.contains(text)).collect();
        finding.remedies.extend(general);
        finding.suspects = found;
        Ok(())
    }

    fn read(&self) -> Result<Vec<Text>, Error> {
        let mut texts = Vec::new();
        for phase in &self.derivation.phases {
            let name = format!("phase {}", phase.name);
            texts.push(Text { name, bytes: phase.script.clone().into_bytes(), weight: 3 });
        }
        for patch in &self.derivation.patches {
            texts.push(Text { name: patch.name.clone(), bytes: patch.text.clone().into_bytes(), weight: 1 });
        }
        if let Some(log) = &self.log {
            let meta = fs::metadata(log)?;
            if meta.len() <= 16 * LONGEST {
                texts.push(Text { name: "log".to_owned(), bytes: fs::read(log)?, weight: 0 });
            }
        }
        let stage = self.session.store.stage()?;
        let root = stage.path().join("sources");
        fs::create_dir(&root)?;
        for source in &self.derivation.sources {
            lay_source(self.session.store, source, &root, Order::Forward, self.session.cancel)?;
        }
        let mut left = ALL;
        for (path, entry) in Tree::scan(&root)?.iter().take(FILES) {
            let Entry::File { size, .. } = entry else { continue };
            if *size > LONGEST.min(left) {
                continue;
            }
            left -= size;
            let bytes = fs::read(root.join(path.as_path()))?;
            // What has zeros is no text.
            if !bytes.iter().take(8192).any(|byte| *byte == 0) {
                let name = printable(path.as_path().as_os_str().as_encoded_bytes());
                texts.push(Text { name, bytes, weight: 1 });
            }
        }
        Ok(texts)
    }
}
