//! The planted corpus (`tests/corpus`): what `parton why` says of packages that leak on purpose, against what is so.

use crate::common::{Env, project};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A file and a knob that makes it differ.
type Pair = (String, String);

/// What `truth` says of a package.
#[derive(Default)]
struct Truth {
    pairs: BTreeSet<Pair>,
    /// Knobs that are needed together, by file.
    together: BTreeMap<String, BTreeSet<String>>,
    races: BTreeSet<String>,
}

impl Truth {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(project().join("tests/corpus").join(name).join("truth")).unwrap();
        let mut truth = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (path, causes) = line.split_once(": ").unwrap();
            for cause in causes.split(' ') {
                if cause == "race" {
                    truth.races.insert(path.to_owned());
                    continue;
                }
                let knobs: BTreeSet<String> = cause.trim_end_matches('!').split('+').map(str::to_owned).collect();
                truth.pairs.extend(knobs.iter().map(|knob| (path.to_owned(), knob.clone())));
                if knobs.len() > 1 {
                    truth.together.insert(path.to_owned(), knobs);
                }
            }
        }
        truth
    }
}

/// Lays a package of the corpus down in a workspace.
fn plant(env: &Env, name: &str) {
    let dir = project().join("tests/corpus").join(name);
    let mut files = Vec::new();
    collect(&dir.join("source"), &dir.join("source"), &mut files);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let cpus = std::thread::available_parallelism().unwrap().to_string();
    env.package(name, &files, &fs::read_to_string(dir.join("build.toml")).unwrap().replace("@CPUS@", &cpus));
}

fn collect(top: &Path, dir: &Path, files: &mut Vec<(String, String)>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(top, &path, files);
        } else {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What was found out about one package.
struct Row {
    name: String,
    builds: usize,
    said: BTreeSet<Pair>,
    truth: Truth,
    findings: Vec<Value>,
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl Row {
    fn find_out(name: &str, builds: &str) -> Self {
        let env = Env::workspace();
        plant(&env, name);
        let run = env.run(&["why", name, "--fresh", "--json", "--builds", builds]);
        let why = run.json();
        assert_eq!(why["schema"], "parton.why/1");
        let findings = why["findings"].as_array().unwrap().clone();
        let mut said = BTreeSet::new();
        for finding in findings.iter().filter(|finding| finding["kind"] == "leak" || finding["kind"] == "witnessed") {
            let knobs = &strings(&finding["any"]) | &strings(&finding["together"]);
            for place in finding["places"].as_array().unwrap() {
                let path = place["path"].as_str().unwrap();
                said.extend(knobs.iter().map(|knob| (path.to_owned(), knob.clone())));
            }
        }
        let builds = why["builds"].as_array().unwrap().len();
        // What differs by itself is never explained.
        let unexplained = findings.iter().any(|finding| finding["kind"] != "leak" && finding["kind"] != "witnessed");
        assert_eq!(run.code, Some(if unexplained { 3 } else { 0 }), "{}", run.stderr);
        Self { name: name.to_owned(), builds, said, truth: Truth::read(name), findings }
    }

    fn both(&self) -> usize {
        self.said.intersection(&self.truth.pairs).count()
    }

    /// Findings about a file.
    fn about(&self, path: &str) -> impl Iterator<Item = &Value> {
        let is =
            move |finding: &&Value| finding["places"].as_array().unwrap().iter().any(|place| place["path"] == path);
        self.findings.iter().filter(is)
    }

    fn show(&self) -> String {
        let mut text = format!(
            "{:14} {:>6} {:>6} {:>6} {:>6}  ",
            self.name,
            self.builds,
            self.truth.pairs.len(),
            self.said.len(),
            self.both()
        );
        let confirmed = self.findings.iter().filter(|finding| finding["confidence"] == "confirmed").count();
        let leaks = self.findings.iter().filter(|finding| finding["kind"] == "leak").count();
        let by_itself = self.findings.iter().filter(|finding| finding["kind"] == "nondeterministic").count();
        let _ = write!(text, "{confirmed} of {leaks} confirmed");
        if by_itself > 0 {
            let _ = write!(text, ", {by_itself} differ by themselves");
        }
        for (what, (path, knob)) in (self.truth.pairs.difference(&self.said).map(|pair| ("missed", pair)))
            .chain(self.said.difference(&self.truth.pairs).map(|pair| ("false", pair)))
        {
            let _ = write!(text, "\n               {what}: {path} {knob}");
        }
        text
    }
}

/// Runs some of the corpus, prints the table, and holds it against what is promised.
#[expect(clippy::print_stdout, reason = "the table that ci/corpus keeps")]
fn gate(names: &[&str], builds: &str) {
    let mut table = String::from("package        builds  truth   said   both\n");
    let (mut truth, mut said, mut both) = (0, 0, 0);
    for name in names {
        let row = Row::find_out(name, builds);
        let _ = writeln!(table, "{}", row.show());
        truth += row.truth.pairs.len();
        said += row.said.len();
        both += row.both();
        for race in &row.truth.races {
            assert!(row.said.iter().all(|(path, _)| path != race), "{name}: {race} is blamed on something\n{table}");
            for finding in row.about(race) {
                assert!(["nondeterministic", "open"].contains(&finding["kind"].as_str().unwrap()), "{finding:#}");
            }
        }
        for (path, knobs) in &row.truth.together {
            let found: Vec<_> = row.about(path).map(|finding| strings(&finding["together"])).collect();
            assert!(found.contains(knobs), "{name}: {path} needs {knobs:?}, said {found:?}");
        }
        // Who is told what to do is told where.
        for finding in row.findings.iter().filter(|finding| finding["kind"] == "leak") {
            assert!(!finding["remedies"].as_array().unwrap().is_empty(), "{finding:#}");
            assert!(!finding["suspects"].as_array().unwrap().is_empty(), "{finding:#}");
        }
    }
    let ratio = |part: usize, whole: usize| part as f64 / whole as f64;
    let (precision, recall) = (ratio(both, said), ratio(both, truth));
    println!("{table}\n(file, knob): precision {precision:.4}, recall {recall:.4}, of {truth} planted");
    assert!(precision >= 0.98 && recall >= 0.98, "{table}");
}

#[test]
fn a_cut_of_the_corpus_is_explained() {
    gate(&["make-c", "archives", "races"], "40");
}

#[test]
#[ignore = "every package of the corpus, a minute or more: ci/corpus"]
fn the_whole_corpus_is_explained() {
    let mut names: Vec<String> = fs::read_dir(project().join("tests/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    gate(&names.iter().map(String::as_str).collect::<Vec<_>>(), "80");
}

/// No knob without a leak: a new one is planted too.
#[test]
fn every_knob_has_a_leak_in_the_corpus() {
    let names = fs::read_dir(project().join("tests/corpus")).unwrap().map(|entry| entry.unwrap().path());
    let names = names.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let planted: BTreeSet<String> = names.flat_map(|name| Truth::read(&name).pairs).map(|(_, knob)| knob).collect();
    let knobs: BTreeSet<String> = parton::build::Knob::ALL.iter().map(|knob| knob.name().to_owned()).collect();
    assert_eq!(planted, knobs);
}

/// The table of habits can't ask the knobs for their names, as it knows nothing of builds: a name that is none would never be
/// looked for.
#[test]
fn habits_are_of_knobs_and_every_knob_has_a_remedy() {
    use parton::build::Knob;
    use parton::compare::cause::{HABITS, remedy};
    for name in HABITS.iter().flat_map(|habit| habit.knobs) {
        assert!(name.parse::<Knob>().is_ok(), "no knob is called {name}");
    }
    let without: Vec<&str> = Knob::ALL.map(Knob::name).into_iter().filter(|name| remedy(name).is_none()).collect();
    assert_eq!(without, [""; 0]);
}
