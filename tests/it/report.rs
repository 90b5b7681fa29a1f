//! Records come back as they went, and say to people what they say to machines.

use crate::common::Env;
use parton::report::{Glance, Record, Verdict, text};

/// The record of a real build, through the program's own JSON.
fn record() -> Record {
    let env = Env::workspace();
    env.write("x-1.tar", "x");
    env.write(
        "specs/x/spec.toml",
        format!(
            "[package]\nname = \"x\"\nversion = \"1\"\nlicense = \"MIT\"\n\n[[source]]\nurls = [\"file://{}/x-1.tar\"]\n\
             sha256 = \"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"\nunpack = false\n\n\
             [build]\nsystem = \"script\"\n\n[build.phases]\ninstall = \"mkdir $OUT/etc && cp x-1.tar $OUT/etc/\"\n",
            env.path().display()
        ),
    );
    let _ = env.run(&["build", "x", "--rebuild"]).ok();
    let shown = env.run(&["show", "x", "--json"]).ok();
    serde_json::from_str(&shown.stdout).unwrap()
}

#[test]
fn a_record_survives_the_store() {
    let record = record();
    let bytes = record.to_bytes().unwrap();
    assert_eq!(Record::from_bytes(&bytes).as_ref(), Ok(&record));
    let glance = Glance::read(&bytes).unwrap();
    assert_eq!((glance.verdict, glance.rounds), (Verdict::Identical, 2));
    assert_eq!(glance.output, record.output().map(|output| output.tree));

    let other = String::from_utf8(bytes).unwrap().replace("parton.record/1", "parton.record/9");
    assert_eq!(Glance::read(other.as_bytes()), None, "another version is not guessed at");
    assert!(Record::from_bytes(other.as_bytes()).unwrap_err().contains("parton.record/9"));
    assert_eq!(Glance::read(b""), None);
    assert!(Record::from_bytes(b"").is_err());
}

#[test]
fn a_report_says_what_was_varied_and_what_stood() {
    let record = record();
    let plain = text::record(&record, false);
    for part in [
        "x-1.tar (1 B)",
        "round 1",
        "round 2",
        "open    other jobs, cpus, cpu-facts, clock",
        "sealed  other ",
        " pairs of conditions (",
        "identical",
        "no programs",
        "tries, all stopped",
    ] {
        assert!(plain.contains(part), "{part} in {plain}");
    }
    let verbose = text::record(&record, true);
    for part in [
        ": as it is → from 203",
        "open    addresses=random: fixed → random",
        "wall     network",
        "· the host's IPv4 loopback: ECONNREFUSED",
    ] {
        assert!(verbose.contains(part), "{part} in {verbose}");
    }
}

#[test]
fn a_differing_round_makes_the_verdict_and_takes_the_output_away() {
    let record = record();
    let mut rounds = record.rounds.clone();
    if let parton::build::End::Built(output) = &mut rounds[1].end {
        output.tree = parton::base::TreeDigest::from_bytes([9; 32]);
    }
    let again =
        |rounds| Record::new(record.derivation.clone(), "seed".to_owned(), Vec::new(), rounds, Vec::new(), Vec::new());
    let differs = again(rounds);
    assert_eq!(differs.verdict, Verdict::Differs);
    assert!(differs.output().is_none(), "nobody builds on what differs");
    assert_eq!(again(record.rounds[..1].to_vec()).verdict, Verdict::Unproved);
    assert_eq!(again(Vec::new()).verdict, Verdict::Failed);
}
