//! Events become what a person sees: moving bars on a terminal, plain lines elsewhere.

use super::shell::Shell;
use crate::base::{Event, Task, TaskId, printable};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shows events on standard error.
pub struct Progress<'a> {
    shell: &'a Shell,
    bars: MultiProgress,
    tasks: Mutex<BTreeMap<TaskId, Shown>>,
}

struct Shown {
    task: Task,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl<'a> Progress<'a> {
    /// A display on this shell.
    pub fn new(shell: &'a Shell) -> Self {
        let target = if shell.bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { shell, bars: MultiProgress::with_draw_target(target), tasks: Mutex::default() }
    }

    /// Takes one event; callable from every thread.
    pub fn event(&self, event: Event) {
        if self.shell.quiet() {
            if let Event::Warning(text) = &event {
                self.say(|| self.shell.warning(text));
            }
            return;
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { id, task, name, total } => {
                let bar = self.shell.bars().then(|| self.bar(task, &name, total));
                // Without bars only slow things are announced; downloads are announced when they end, with their rate.
                if bar.is_none() && task == Task::Round {
                    self.shell.status("Building", &name);
                }
                tasks.insert(id, Shown { task, name, bar, started: Instant::now() });
            }
            Event::Advanced { id, done, now } => {
                if let Some(Shown { bar: Some(bar), task, .. }) = tasks.get(&id) {
                    bar.set_position(done);
                    // What is downloaded says more than where it comes from right now.
                    if let Some(now) = now.filter(|_| *task != Task::Download) {
                        bar.set_message(now);
                    }
                }
            }
            Event::Finished { id, ok } => {
                if let Some(shown) = tasks.remove(&id) {
                    let size = shown.bar.as_ref().map(ProgressBar::position);
                    if let Some(bar) = shown.bar {
                        bar.finish_and_clear();
                        self.bars.remove(&bar);
                    }
                    if ok {
                        self.finished(shown.task, &shown.name, shown.started.elapsed(), size);
                    }
                }
            }
            Event::Log { package, line } => {
                if self.shell.verbose() {
                    let line = format!("{package} │ {}", printable(&line));
                    self.say(|| self.shell.line(&line));
                }
            }
            Event::Note(text) => self.say(|| self.shell.note(&text)),
            Event::Warning(text) => self.say(|| self.shell.warning(&text)),
        }
    }

    fn say(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    fn finished(&self, task: Task, name: &str, took: Duration, size: Option<u64>) {
        let verb = match task {
            Task::Download => "Fetched",
            Task::Unpack => "Unpacked",
            Task::Pack => "Packed",
            Task::Round => "Built",
            Task::Compare => "Compared",
            Task::Verify => "Verified",
        };
        let rate = match (task, size) {
            (Task::Download, Some(size)) if size > 0 => format!(" ({})", indicatif::HumanBytes(size)),
            _ => String::new(),
        };
        let seconds = took.as_secs_f64();
        self.say(|| self.shell.status(verb, &format!("{name}{rate} in {seconds:.1} s")));
    }

    fn bar(&self, task: Task, name: &str, total: Option<u64>) -> ProgressBar {
        let template = match (task, total) {
            (Task::Download | Task::Unpack, Some(_)) => {
                "{prefix:>12.cyan.bold} {wide_msg} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4} [{bar:20}]"
            }
            (Task::Download | Task::Unpack | Task::Pack, None) => {
                "{prefix:>12.cyan.bold} {wide_msg} {bytes:>10} {bytes_per_sec:>12}"
            }
            (_, Some(_)) => "{prefix:>12.cyan.bold} {wide_msg} {pos}/{len} {elapsed:>5} [{bar:20}]",
            (_, None) => "{prefix:>12.cyan.bold} {wide_msg} {elapsed:>5}",
        };
        let verb = match task {
            Task::Download => "Fetching",
            Task::Unpack => "Unpacking",
            Task::Pack => "Packing",
            Task::Round => "Building",
            Task::Compare => "Comparing",
            Task::Verify => "Verifying",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let bar = self.bars.add(bar.with_style(style.progress_chars("=> ")));
        bar.set_prefix(verb);
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
