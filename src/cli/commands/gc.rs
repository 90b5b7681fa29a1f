//! `parton gc`

use super::super::args::{Gc, Global};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use crate::report::text;

pub fn run(global: &Global, args: &Gc, shell: &Shell) -> Result<(), Failure> {
    let mut context = Context::open_store_only(global, shell)?;
    let swept = ops::gc(&mut context.store, args.dry_run, &|event| context.progress.event(event), &context.cancel)?;
    if global.json {
        return super::json(shell, "parton.gc/1", &swept);
    }
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let mut out = String::new();
    let kinds = [
        ("sources", swept.blobs),
        ("outputs", swept.trees),
        ("logs", swept.logs),
        ("records", swept.records),
        ("downloads", swept.partials),
        ("failures", swept.kept),
        ("damaged", swept.damaged),
        ("leftovers", swept.stages),
    ];
    for (name, kind) in kinds {
        out.push_str(&format!("{name:>10}  {:>6} {verb}, {}\n", kind.count, text::size(kind.bytes)));
    }
    out.push_str(&format!("{} {verb} in all\n", text::size(swept.bytes())));
    shell.out(&out)?;
    Ok(())
}
