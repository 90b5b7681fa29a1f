//! The table: medians, ratios, aims.

use crate::Result;
use crate::gauge::{Side, Taken, turns};
use std::fmt;
use std::time::Duration;

/// What we intend to hold.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// At most so many times what the peer takes.
    Ratio(f64),
    /// At most this long, whatever a peer takes.
    Time(Duration),
    /// Shown for comparison only.
    None,
}

/// All that was measured.
pub struct Table {
    quick: bool,
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    figure: String,
    aim: Aim,
    peer: String,
    turns: usize,
    ours: Summary,
    theirs: Summary,
    ratio: f64,
}

struct Summary {
    median: Duration,
    memory: Option<u64>,
}

impl Table {
    pub fn new(quick: bool) -> Self {
        Self { quick, rows: Vec::new(), notes: Vec::new() }
    }

    /// How many turns, where `turns` are wanted when there is time.
    pub fn turns(&self, turns: usize) -> usize {
        if self.quick { turns.div_ceil(4).max(3) } else { turns.max(7) }
    }

    /// Something a reader should know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Lets the sides take turns and adds a row for each peer; the first side is parton. `aims` are those of the peers.
    pub fn measure(&mut self, figure: &str, wanted: usize, sides: &mut [Side<'_>], aims: &[Aim]) -> Result<()> {
        let taken = turns(sides, self.turns(wanted))?;
        self.add(figure, sides, &taken, aims, &|taken| Some(taken.wall))
    }

    /// Adds rows for what was measured already. `part` is the time that is compared.
    pub fn add(
        &mut self,
        figure: &str,
        sides: &[Side<'_>],
        taken: &[Vec<Taken>],
        aims: &[Aim],
        part: &dyn Fn(&Taken) -> Option<Duration>,
    ) -> Result<()> {
        let [ours, peers @ ..] = taken else { return Err("nobody took part".into()) };
        for ((side, theirs), aim) in sides[1..].iter().zip(peers).zip(aims) {
            let row = row(figure, &side.name, ours, theirs, *aim, part).ok_or("a side did not measure itself")?;
            eprintln!("{}", row.cells().join(" | "));
            self.rows.push(row);
        }
        Ok(())
    }

    /// For machines.
    pub fn to_json(&self) -> serde_json::Value {
        let summary = |summary: &Summary| serde_json::json!({ "seconds": summary.median.as_secs_f64(), "memory": summary.memory });
        let rows = self.rows.iter().map(|row| {
            let (kind, aim) = match row.aim {
                Aim::Ratio(ratio) => (Some("ratio"), Some(ratio)),
                Aim::Time(time) => (Some("seconds"), Some(time.as_secs_f64())),
                Aim::None => (None, None),
            };
            serde_json::json!({
                "figure": row.figure, "peer": row.peer, "turns": row.turns, "parton": summary(&row.ours),
                "other": summary(&row.theirs), "ratio": row.ratio, "aim": aim, "aim_of": kind, "reached": row.reached(),
            })
        });
        let rows: Vec<_> = rows.collect();
        serde_json::json!({ "schema": "parton.bench/1", "machine": machine(), "rows": rows, "notes": self.notes })
    }
}

/// When and on what this was measured.
#[expect(clippy::disallowed_methods, reason = "the date of a measurement is a part of it")]
fn machine() -> serde_json::Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    serde_json::json!({
        "seconds_since_1970": now,
        "processor": model,
        "processors": std::thread::available_parallelism().ok().map(usize::from),
        "kernel": rustix::system::uname().release().to_string_lossy(),
    })
}

fn row(
    figure: &str,
    peer: &str,
    ours: &[Taken],
    theirs: &[Taken],
    aim: Aim,
    part: &dyn Fn(&Taken) -> Option<Duration>,
) -> Option<Row> {
    // The first turn looked at memory and warmed caches up.
    let times = |side: &[Taken]| side.iter().skip(1).map(part).collect::<Option<Vec<Duration>>>();
    let (a, b) = (times(ours)?, times(theirs)?);
    let ratios = a.iter().zip(&b).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    let seconds =
        |times: &[Duration]| Duration::from_secs_f64(median(times.iter().map(Duration::as_secs_f64).collect()));
    let memory = |side: &[Taken]| side.first().and_then(|taken| taken.memory);
    Some(Row {
        figure: figure.to_owned(),
        aim,
        peer: peer.to_owned(),
        turns: a.len(),
        ours: Summary { median: seconds(&a), memory: memory(ours) },
        theirs: Summary { median: seconds(&b), memory: memory(theirs) },
        ratio: median(ratios),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

impl Row {
    fn reached(&self) -> Option<bool> {
        match self.aim {
            Aim::Ratio(ratio) => Some(self.ratio <= ratio),
            Aim::Time(time) => Some(self.ours.median <= time),
            Aim::None => None,
        }
    }

    fn cells(&self) -> [String; 9] {
        let aim = match self.aim {
            Aim::Ratio(ratio) => format!("≤ {ratio:.2} ×"),
            Aim::Time(time) => format!("≤ {}", time_text(time)),
            Aim::None => "–".to_owned(),
        };
        let reached = match self.reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let memory = |summary: &Summary| {
            summary
                .memory
                .map_or_else(|| "–".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
        };
        [
            self.figure.clone(),
            self.peer.clone(),
            time_text(self.ours.median),
            time_text(self.theirs.median),
            format!("{:.3}", self.ratio),
            aim,
            reached.to_owned(),
            memory(&self.ours),
            memory(&self.theirs),
        ]
    }
}

fn time_text(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.1 => format!("{:.2} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "beside", "parton", "it", "ratio", "aim", "reached", "memory of parton", "memory of it"];
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|---|---|--:|--:|--:|--:|---|--:|--:|")?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.cells().join(" | "))?;
        }
        let turns = |of: fn(std::slice::Iter<'_, Row>) -> Option<usize>| of(self.rows.iter()).unwrap_or(0);
        let (least, most) = (turns(|rows| rows.map(|r| r.turns).min()), turns(|rows| rows.map(|r| r.turns).max()));
        writeln!(
            f,
            "\nTimes are medians of {least} to {most} turns, in which all sides run one after the other; the ratio is"
        )?;
        writeln!(f, "the median of the turns' own ratios. Memory is the peak of a side's largest process.")?;
        self.notes.iter().try_for_each(|note| writeln!(f, "\n{note}"))
    }
}
